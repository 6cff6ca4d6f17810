//! Texts that mean something else to their consumer than they seem to say, parser by parser.

use super::super::*;
use super::constraint;

pub(super) fn judge(constraint_text: &str, admitted: &[&str], refused: &[&str]) {
    let constraint = constraint(constraint_text);
    let answer = |text: &&&str| constraint.admits(&Json::String((**text).to_owned()));
    let shut_out: Vec<_> = admitted.iter().filter(|text| answer(text).is_err()).collect();
    let let_in: Vec<_> = refused.iter().filter(|text| answer(text).is_ok()).collect();
    assert!(
        shut_out.is_empty() && let_in.is_empty(),
        "{constraint_text} refuses {shut_out:#?} and admits {let_in:#?}"
    );
    assert!(constraint.admits(&Json::Null).is_err());
    assert!(
        constraint
            .admits(&Json::String("x".repeat(CONSTRAINT_TEXT_BYTES_MAX + 1)))
            .is_err()
    );
}

#[test]
fn a_path_stays_under_its_root() {
    judge(
        r#"{"constraint_type":"path","root":"/data/reports"}"#,
        &[
            "/data/reports",
            "/data/reports/",
            "/data/reports/2026/a-b_c.txt",
            "/data/reports/Zürich (1).pdf",
            "/data/reports/.config",
        ],
        &[
            "",
            "data/reports/x",
            "/data",
            "/data/reportsx",
            "/data/reports2/x",
            "/data/reports/../x",
            "/data/reports/..",
            "/data/reports/./x",
            "/data/reports//x",
            "//data/reports/x",
            "/data/reports/%2e%2e/x",
            "/data/reports/%252e%252e/x",
            "/data/reports/..%2fx",
            "/data/reports/..\\x",
            "\\data\\reports",
            "/data/reports/x\0.txt",
            "/data/reports/x\n",
            "/data/reports/$HOME",
            "/data/reports/${IFS}x",
            "~/x",
            "/data/reports/~root",
            "/data/reports/..\u{2215}etc",
            "/data/reports/\u{ff0e}\u{ff0e}/etc",
            "/data/reports/..\u{ff0f}etc",
            "/data/reports/\u{2025}/etc",
            "/data/reports/x\u{202e}txt",
            "/data/reports/x\u{200b}",
            "/data/reports/..;/x",
            "/data/reports/...",
            "/data/reports/*",
            "/data/reports/{a,b}",
            "/data/reports/`id`",
            "file:///data/reports/x",
            "/DATA/reports/x",
            "/data/reports/a/../../../etc/passwd",
            "/data/reports/x|id",
            " /data/reports/x",
            "/data/reports/x ",
            "/data/reports/.. /x",
            "/data/reports/x:stream",
        ],
    );
    judge(
        r#"{"constraint_type":"path","root":"/"}"#,
        &["/", "/etc/passwd"],
        &["//etc", "/..", "etc"],
    );
}

#[test]
fn a_url_leads_only_where_it_is_listed() {
    judge(
        r#"{"constraint_type":"url","schemes":["https"],"hosts":["api.acme.example","*.cdn.example","203.0.113.7","[2001:db8::1]"]}"#,
        &[
            "https://api.acme.example",
            "https://api.acme.example/x?y=http://evil.example#z",
            "HTTPS://API.Acme.example/x",
            "https://a.cdn.example/",
            "https://a.b.cdn.example",
            "https://api.acme.example:443/",
            "https://203.0.113.7/x",
            "https://[2001:db8::1]/x",
        ],
        &[
            "",
            "http://api.acme.example",
            "api.acme.example",
            "//api.acme.example",
            "https:/api.acme.example",
            "https:api.acme.example",
            "https://evil.example",
            "https://api.acme.example.evil.example",
            "https://evilapi.acme.example",
            "https://cdn.example",
            "https://xcdn.example",
            "https://.cdn.example",
            "https://api.acme.example@evil.example",
            "https://evil.example@api.acme.example",
            "https://a:b@api.acme.example",
            "https://@api.acme.example",
            "https://api.acme.example:80",
            "https://api.acme.example:443@evil.example",
            "https://api.acme.example:0443/",
            "https://evil.example#@api.acme.example",
            "https://evil.example?@api.acme.example",
            "https://evil.example\\@api.acme.example",
            "https://evil.example\\.api.acme.example",
            "https://api.acme.example\\@evil.example",
            "https:\\\\api.acme.example",
            "https://api.acme.example\t.evil.example",
            "https://api.acme.example\n",
            " https://api.acme.example",
            "https://api.acme.example /",
            "ht\ntps://api.acme.example",
            "https:///api.acme.example",
            "https://api%2eacme.example",
            "https://api.acme.example%2f@evil.example",
            "https://api。acme。example",
            "https://ａpi.acme.example",
            "https://api.acme.example.",
            "https://аpi.acme.example",
            "https://127.0.0.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://0177.0.0.1",
            "https://127.1",
            "https://localhost",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://[::ffff:203.0.113.7]",
            "https://[::ffff:cb00:7107]",
            "https://[fe80::1%25eth0]",
            "https://169.254.169.254/latest/meta-data",
            "https://[fd00:ec2::254]",
            "https://0",
            "https://3405803783",
            "https://203.0.28935",
            "https://0313.0.0161.7",
            "https://[2001:0db8::1]",
            "https://224.0.0.1",
            "https://10.0.0.1",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "gopher://api.acme.example",
            "data:,x",
            "https://127.0.0.1.cdn.example:80",
            "https://api.acme.example:99999",
            "https://api.acme.example:",
            "https://*.cdn.example",
        ],
    );
}

#[test]
fn a_url_leads_only_to_the_ports_and_paths_that_are_listed() {
    judge(
        r#"{"constraint_type":"url","schemes":["http","https"],"hosts":["a.example"],"ports":[8443],"paths":["/v1/","/health"]}"#,
        &[
            "https://a.example:8443/v1/",
            "https://a.example:8443/v1/x/y?q=..",
            "http://a.example:8443/health#x",
        ],
        &[
            "https://a.example/v1/",
            "https://a.example:8443",
            "https://a.example:8443/v1",
            "https://a.example:8443/v1/../admin",
            "https://a.example:8443/v1/%2e%2e/admin",
            "https://a.example:8443/v1/..%2fadmin",
            "https://a.example:8443/v1/%252e%252e/admin",
            "https://a.example:8443//v1/",
            "https://a.example:8443/v1/..;/admin",
            "https://a.example:8443/healthz",
            "https://a.example:8443/health/x",
            "https://a.example:8443/V1/x",
            "https://a.example:8443/v1//x",
            "https://a.example:8443/v1\\x",
        ],
    );
}

#[test]
fn a_command_line_is_one_listed_program_with_plain_words() {
    judge(
        r#"{"constraint_type":"shell","programs":["ls","/usr/bin/wc"],"arguments":{"constraint_type":"not_one_of","excluded":["/etc/shadow"]}}"#,
        &[
            "ls",
            "ls -l /tmp",
            "  ls  ",
            "/usr/bin/wc -l 'a b.txt'",
            "ls \"it's\" a'b c'd",
            "ls ''",
            "ls 'a;b|c$d`e`'",
            "l's' x",
        ],
        &[
            "",
            " ",
            "rm -rf /",
            "lsx",
            "LS",
            "'ls -l'",
            "A=b ls",
            "ls; rm x",
            "ls && rm x",
            "ls || rm x",
            "ls | sh",
            "ls & rm",
            "ls\nrm x",
            "ls\rrm",
            "ls\trm",
            "ls > /etc/passwd",
            "ls < x",
            "ls 2>&1",
            "ls $(id)",
            "ls `id`",
            "ls \"$(id)\"",
            "ls \"`id`\"",
            "ls $HOME",
            "ls ${IFS}x",
            "ls \"$x\"",
            "ls $'\\n'",
            "ls *",
            "ls ?",
            "ls [a]",
            "ls {a,b}",
            "ls ~",
            "ls ~root",
            "ls # x",
            "ls \\",
            "ls a\\ b",
            "ls \"a\\\"b\"",
            "ls 'a",
            "ls \"a",
            "ls !x",
            "ls \"!x\"",
            "(ls)",
            "{ ls; }",
            "ls =ls",
            "! ls",
            "ls \0",
            "ls 'a\nb'",
            "ls /etc/shadow",
            "ls '/etc/sh'adow",
            "ls \u{a0}x",
            "ls <(id)",
            "ls ^x",
            "ls é",
        ],
    );
    judge(
        r#"{"constraint_type":"shell","programs":["uptime"]}"#,
        &["uptime", "'uptime'"],
        &["uptime x", "uptime ''"],
    );
}

#[test]
fn an_address_is_in_a_range_however_it_is_dressed() {
    judge(
        r#"{"constraint_type":"cidr","ranges":["10.1.0.0/16","2001:db8::/32"]}"#,
        &[
            "10.1.2.3",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "2001:db8::1",
            "2001:DB8:0::1",
            "2001:db8:1::/48",
        ],
        &[
            "",
            "10.2.0.1",
            "10.0.0.0/8",
            "10.1.2.3/24",
            "010.1.2.3",
            "0x0a.1.2.3",
            "167838211",
            "10.1.515",
            "10.1.2.3 ",
            " 10.1.2.3",
            "10.1.2.3/",
            "10.1.2.0/024",
            "10.1.2.0/+24",
            "10.1.2.0/33",
            "10.1.2.0/-1",
            "::ffff:10.1.2.3",
            "::ffff:10.1.0.0/112",
            "::10.1.2.3",
            "2001:db8::1%eth0",
            "[2001:db8::1]",
            "10.1.2.3:80",
            "10.1.2.3,10.2.0.1",
            "10.1.0.0-10.1.0.9",
            "0.0.0.0/0",
            "::/0",
            "localhost",
            "１０.1.2.3",
            "10.1.2.3\0",
            "10.1.2.3\n",
        ],
    );
    judge(
        r#"{"constraint_type":"cidr","ranges":["::/0"]}"#,
        &["::1", "::/0"],
        &["::ffff:10.0.0.1", "10.0.0.1"],
    );
}

#[test]
fn a_mail_address_is_one_bare_address_of_its_domain() {
    let long = format!("{}@acme.example", "a".repeat(65));
    judge(
        r#"{"constraint_type":"email_domain","domains":["acme.example"]}"#,
        &["bob@acme.example", "Bob.O'Neil+x_y-z@ACME.example"],
        &[
            "",
            "bob",
            "@acme.example",
            "bob@",
            "bob@evil.example",
            "bob@acme.example.evil.example",
            "bob@xacme.example",
            "bob@sub.acme.example",
            "bob@acme.example@evil.example",
            "bob@evil.example@acme.example",
            "\"bob@evil.example\"@acme.example",
            "Bob <bob@acme.example>",
            "<bob@acme.example>",
            "bob@acme.example,eve@evil.example",
            "eve@evil.example,bob@acme.example",
            "bob@acme.example;eve@evil.example",
            "bob(x)@acme.example",
            "bob@acme.example(x)",
            "bob @acme.example",
            "bob@ acme.example",
            " bob@acme.example",
            "bob@acme.example\r\nBcc: eve@evil.example",
            "bob%evil.example@acme.example",
            "evil.example!bob@acme.example",
            "@evil.example:bob@acme.example",
            "bob@[127.0.0.1]",
            "bob@acme.example.",
            "bob@acme。example",
            "bob@acmе.example",
            ".bob@acme.example",
            "bob.@acme.example",
            "bo..b@acme.example",
            "bob\0@acme.example",
            "mailto:bob@acme.example",
            "bób@acme.example",
            "-o@acme.example",
            &long,
        ],
    );
    let list = constraint(r#"{"constraint_type":"email_domain","domains":["acme.example"]}"#);
    assert_eq!(
        list.admits(&super::json(r#"["a@acme.example","b@acme.example"]"#)),
        Ok(())
    );
    for refused in [
        r#"["a@acme.example","b@evil.example"]"#,
        r#"[["a@acme.example"]]"#,
        "[1]",
        r#"{"a@acme.example":1}"#,
    ] {
        assert!(list.admits(&super::json(refused)).is_err(), "{refused}");
    }
}

#[test]
fn a_pattern_is_the_form_of_the_whole_text() {
    judge(
        r#"{"constraint_type":"pattern","regex":"INV-[0-9]{4}|CR-[0-9]+"}"#,
        &["INV-2026", "CR-1"],
        &[
            "INV-20266",
            "xINV-2026",
            "INV-2026\n",
            "CR-1 ",
            "CR-",
            "inv-2026",
            "x\nCR-1\nx",
            "",
        ],
    );
    judge(
        r#"{"constraint_type":"pattern","regex":"(?m)^a$"}"#,
        &["a"],
        &["a\nb", "b\na", "a\n", ""],
    );
    judge(
        r#"{"constraint_type":"pattern","glob":"acme/*.git"}"#,
        &["acme/x.git", "acme/.git", "acme/x/y.git"],
        &["acme/x.gitx", "xacme/x.git", "acme/xagit", "acme/x.git\n", ""],
    );
    // A form that backtracking takes exponential time for; the bound is the text's.
    let greedy = constraint(r#"{"constraint_type":"pattern","regex":"(a*)*b"}"#);
    assert!(
        greedy
            .admits(&Json::String("a".repeat(CONSTRAINT_TEXT_BYTES_MAX * 16)))
            .is_err()
    );
}
