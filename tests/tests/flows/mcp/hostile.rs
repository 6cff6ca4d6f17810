//! Lines that no SDK would write, and how everything ends.

use std::path::PathBuf;
use std::process::Stdio;

use checkrein_tests::WAIT_MAX;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Scene, changing, node, peer};

/// The enforcer with its server, and nothing before it.
struct Bare {
    says: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Bare {
    fn start(command: &[PathBuf]) -> Self {
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .env_remove("CHECKREIN_GRANT")
            .env("CHECKREIN_LOG", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (says, hears) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self {
            says,
            hears: BufReader::new(hears).lines(),
            process,
        }
    }

    async fn says(&mut self, line: &[u8]) {
        self.says.write_all(line).await.unwrap();
        self.says.write_all(b"\n").await.unwrap();
    }

    async fn hears(&mut self) -> Value {
        let line = timeout(WAIT_MAX, self.hears.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    async fn ends(mut self) -> Option<i32> {
        drop(self.says);
        let ended = timeout(WAIT_MAX, self.process.wait()).await.unwrap();
        ended.unwrap().code()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_lines_are_refused_one_by_one_and_the_next_call_is_made() {
    let scene = Scene::set(&changing(), &["changing/*"]).await;
    let mut bare = Bare::start(&scene.wrapping("changing", 50, &[node(), peer("changing.mjs")]));
    let long = vec![b'x'; (16 << 20) + 1];
    let twice = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"turn","arguments":{}}}"#;
    for (line, code) in [
        (&b"\xff\xfe"[..], -32700),
        (b"{", -32700),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}"#,
            -32600,
        ),
        (br#"{"jsonrpc":"2.0","id":1,"method":"tools/Call"}"#, -32601),
        (br#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, -32601),
        (twice, -32602),
        (&long, -32600),
    ] {
        bare.says(line).await;
        let told = bare.hears().await;
        assert_eq!(told["error"]["code"], code, "{told}");
    }
    bare.says(br#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    bare.says(br#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"message":"1","message":"2"}}}"#)
        .await;
    let told = bare.hears().await;
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "invalid_arguments",
        "{told}"
    );
    bare.says(br#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"message":"x"}}}"#)
        .await;
    let told = bare.hears().await;
    assert_eq!(
        told["result"]["content"][0]["text"], r#"{"name":"echo","arguments":{"message":"x"}}"#,
        "as it was written"
    );
    assert_eq!(bare.ends().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_exit_code_is_ours_and_whoever_waits_is_told() {
    let scene = Scene::set(&changing(), &["changing/*"]).await;
    let shell = ["sh", "-c", "read -r line; exit 7"].map(PathBuf::from);
    let mut bare = Bare::start(&scene.wrapping("changing", 50, &shell));
    bare.says(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(bare.hears().await["error"]["code"], -32603);
    assert_eq!(bare.ends().await, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_end_with_its_input_is_ended_with_all_it_started() {
    let scene = Scene::set(&changing(), &["changing/*"]).await;
    let says = "trap '' TERM; sleep 600 & echo '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"pid\":'$!'}}'; wait; sleep 600";
    let shell = ["sh", "-c", says].map(PathBuf::from);
    let mut bare = Bare::start(&scene.wrapping("changing", 50, &shell));
    let pid = bare.hears().await["params"]["pid"].as_u64().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(bare.ends().await, Some(128 + 9));
    let is_gone = || {
        // A zombie that nobody has collected yet runs no more.
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        status.map_or(true, |status| status.contains(") Z "))
    };
    assert!(is_gone());
}
