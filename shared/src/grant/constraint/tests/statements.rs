//! SQL that reads, writes or calls more than it seems to.

use super::super::*;
use super::attacks::judge;
use super::constraint;

/// What reads more than two tables, or does more than read.
const REFUSED_READS: &[&str] = &[
    "",
    ";",
    "SELECT 1; SELECT 2",
    "SELECT 1;",
    "SELECT 1; DROP TABLE orders",
    "SELECT * FROM users",
    "SELECT * FROM public.orders",
    "SELECT * FROM items",
    "SELECT * FROM \"Orders\"",
    "SELECT * FROM orders, users",
    "SELECT * FROM orders JOIN users ON true",
    "SELECT (SELECT password FROM users)",
    "SELECT * FROM orders WHERE id IN (SELECT id FROM users)",
    "SELECT * FROM orders UNION SELECT * FROM users",
    "SELECT * FROM orders ORDER BY (SELECT 1 FROM users)",
    "SELECT * FROM orders LIMIT (SELECT 1 FROM users)",
    "TABLE users",
    "SELECT * FROM orders UNION TABLE users",
    "WITH users AS (SELECT * FROM users) SELECT * FROM users",
    "WITH t AS (SELECT * FROM users) SELECT * FROM t",
    "SELECT * FROM (WITH users AS (SELECT 1) SELECT * FROM users) x, users",
    "WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t) SELECT * FROM t",
    "WITH t AS (DELETE FROM orders RETURNING *) SELECT * FROM t",
    "WITH t AS (INSERT INTO orders VALUES (1)) SELECT 1",
    "DELETE FROM orders",
    "UPDATE orders SET a = 1",
    "INSERT INTO orders VALUES (1)",
    "SELECT * INTO x FROM orders",
    "SELECT 1 INTO OUTFILE 'x'",
    "COPY orders TO '/tmp/x'",
    "DROP TABLE orders",
    "TRUNCATE orders",
    "SELECT pg_sleep(10)",
    "SELECT pg_catalog.pg_sleep(10)",
    "SELECT \"pg_sleep\"(10)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_read_file('x')",
    "SELECT * FROM orders, LATERAL pg_ls_dir('x')",
    "SELECT nextval('s')",
    "SELECT set_config('a', 'b', false)",
    "SELECT * FROM generate_series(1, 10)",
    "SELECT * FROM orders FOR UPDATE",
    "SELECT * FROM orders -- x",
    "SELECT /* x */ 1",
    "SELECT /*!50000 1 */",
    "SELECT # x",
    "SELECT E'a\\'b'",
    "SELECT 'a\\'",
    "SELECT $$x$$",
    "SELECT $a$x$a$",
    "SELECT $1$x$1$",
    "SELECT U&'x'",
    "SELECT x'41'",
    "SELECT a::text FROM orders",
    "SELECT @x",
    "SELECT a[1] FROM orders",
    "SELECT\u{a0}1",
    "SELECT 1\0",
    "SELECT 'a\0'",
    "SELECT 'a",
    "SELECT \"a'b\" FROM orders",
    "EXPLAIN ANALYZE SELECT 1",
    "CALL f()",
    "DO 'x'",
    "SET ROLE x",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "GRANT ALL ON orders TO x",
    "MERGE INTO orders USING users ON true WHEN MATCHED THEN DELETE",
    "LOCK TABLE orders",
    "VACUUM",
    "LISTEN x",
    "CREATE TABLE t AS SELECT 1",
    "SELECT * FROM ONLY (users)",
    "BEGIN",
    "SELECT * FROM orders TABLESAMPLE SYSTEM (1)",
    "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM users)) FROM orders",
    "SELECT sum(a) OVER (PARTITION BY (SELECT 1 FROM users)) FROM orders",
    "SELECT * FROM orders WHERE a = ANY (SELECT id FROM users)",
    "SELECT DISTINCT ON ((SELECT 1 FROM users)) a FROM orders",
    "SELECT a OPERATOR(x.+) b FROM orders",
    "SELECT * FROM orders JOIN orders o USING (id) JOIN users USING (id)",
    "VALUES ((SELECT password FROM users))",
];

#[test]
fn a_statement_is_one_and_of_its_kinds_and_tables() {
    let reads = r#"{"constraint_type":"sql","dialect":"postgres","statements":["select"],"tables":["orders","shop.items"]}"#;
    judge(
        reads,
        &[
            "SELECT 1",
            "select * from orders",
            "SELECT o.id, count(*) AS n FROM Orders o JOIN shop.items AS i ON i.id = o.item WHERE o.total > 5.0 GROUP BY o.id HAVING sum(x) > 1 ORDER BY n DESC LIMIT 10",
            "SELECT * FROM orders WHERE note = 'it''s -- no comment; /* none */' AND a LIKE '%x%'",
            "SELECT * FROM (SELECT id FROM orders) AS t UNION ALL SELECT id FROM shop.items",
            "WITH t AS (SELECT * FROM orders), u AS (SELECT * FROM t) SELECT * FROM u",
            "SELECT * FROM \"orders\" WHERE id IN (SELECT id FROM shop.items) AND EXISTS (SELECT 1)",
            "SELECT CASE WHEN a THEN 1 ELSE 2 END, -1, NOT b, CAST(a AS integer), a IS NULL, a BETWEEN 1 AND 2 FROM orders",
            "SELECT lower(name), coalesce(a, 'Zürich') FROM orders WHERE a = $1",
        ],
        REFUSED_READS,
    );
}

#[test]
fn a_statement_that_writes_is_of_its_kinds_too() {
    judge(
        r#"{"constraint_type":"sql","dialect":"postgres","statements":["insert","update"],"tables":["orders"]}"#,
        &[
            "INSERT INTO orders (a, b) VALUES (1, 'x')",
            "UPDATE orders SET a = a + 1 WHERE id = 3",
            "INSERT INTO orders (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2",
        ],
        &[
            "INSERT INTO orders SELECT 1",
            "INSERT INTO users VALUES (1)",
            "INSERT INTO orders VALUES (1) RETURNING (SELECT 1)",
            "UPDATE orders SET a = (SELECT 1 FROM users)",
            "UPDATE orders SET a = b FROM users",
            "UPDATE users SET a = 1",
            "DELETE FROM orders",
            "INSERT INTO orders VALUES (pg_sleep(1))",
            "WITH t AS (DELETE FROM orders) UPDATE orders SET a = 1",
            "REPLACE INTO orders VALUES (1)",
            "SELECT 1",
        ],
    );
}

#[test]
fn each_dialect_has_its_own_ways_and_none_is_admitted() {
    judge(
        r#"{"constraint_type":"sql","dialect":"mysql","statements":["select","insert","delete"],"tables":["orders"],"functions":["ifnull"]}"#,
        &[
            "SELECT ifnull(a, 1) FROM `orders` WHERE a = ?",
            "INSERT INTO orders VALUES (1)",
            "DELETE FROM orders WHERE id = 1",
            "INSERT INTO orders SELECT * FROM orders",
        ],
        &[
            "SELECT * FROM Orders",
            "SELECT load_file('/etc/passwd')",
            "SELECT sleep(5)",
            "SELECT benchmark(1, 2)",
            "SELECT * FROM orders INTO DUMPFILE 'x'",
            "SELECT 1 INTO @x",
            "INSERT INTO orders VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
            "REPLACE INTO orders VALUES (1)",
            "DELETE orders, users FROM orders JOIN users",
            "SELECT * FROM `orders``x`",
            "SELECT * FROM orders PROCEDURE ANALYSE()",
            "SHOW TABLES",
            "LOAD DATA INFILE 'x' INTO TABLE orders",
            "HANDLER orders OPEN",
            "SELECT * FROM orders LOCK IN SHARE MODE",
            "SELECT _utf8'x'",
            "SELECT a * SELECT * FROM users",
            "SELECT * FROM users",
            "INSERT INTO orders SET a = 1",
        ],
    );
    judge(
        r#"{"constraint_type":"sql","dialect":"sqlite","statements":["select"],"tables":["Orders"]}"#,
        &["SELECT * FROM ORDERS"],
        &[
            "ATTACH DATABASE 'x' AS y",
            "PRAGMA writable_schema = 1",
            "SELECT load_extension('x')",
            "SELECT * FROM [users]",
            "SELECT * FROM sqlite_master",
            "SELECT writefile('x', 'y')",
            "INSERT OR REPLACE INTO orders VALUES (1)",
        ],
    );
}

#[test]
fn the_longest_chains_of_a_statement_are_walked_without_running_out_of_stack() {
    let sql = constraint(r#"{"constraint_type":"sql","dialect":"postgres","statements":["select"]}"#);
    for (first, link) in [
        ("SELECT 1", "+1"),
        ("SELECT 1", " UNION SELECT 1"),
        ("SELECT a", " IS NULL"),
        ("SELECT 1 FROM t", ",t"),
        ("SELECT a", " AND a"),
    ] {
        let repeated = format!(
            "{first}{}",
            link.repeat(250 / link.split_whitespace().count().max(2) * 2)
        );
        let long = format!("{first}{}", link.repeat(600));
        // A thread as small as they come.
        let judged = std::thread::Builder::new().stack_size(1 << 20).spawn({
            let sql = sql.clone();
            move || [repeated, long].map(|text| sql.admits(&Json::String(text)).is_ok())
        });
        let [_short, long] = judged.unwrap().join().unwrap();
        assert!(!long, "{link}");
    }
    for open in ["(", "NOT ", "- ", "(SELECT "] {
        let deep = format!("SELECT {}1", open.repeat(400));
        assert!(sql.admits(&Json::String(deep)).is_err(), "{open}");
    }
}
