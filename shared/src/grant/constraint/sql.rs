//! One SQL statement of some kinds, on some tables.
//!
//! The text is first held to an alphabet in which dialects and settings agree ([`script`]): no comment, no escape, no
//! second statement. Then the crate `sqlparser` reads it, and every part of the tree must be one of a closed list
//! ([`walk`]): kinds and tables are judged wherever they stand, in a subquery, a join, a set operation or a `WITH`.
//!
//! A name means what the database's search path makes of it; views, triggers and functions of the database's own do what
//! they do. Whoever runs the statement must do it as a user with no more than these rights.
//!
//! **Invariant**: an admitted text is one statement, and each table in it is listed or a `WITH` of its own.

mod script;
mod walk;
mod words;

use serde_json::{Value, json};
use sqlparser::dialect::{self, PostgreSqlDialect, SQLiteDialect};

use super::member::{Budget, Members, text, wrong};
use super::{InvalidConstraint, Refused};

/// Which database reads the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// `MySQL` and `MariaDB`.
    MySql,
    /// `SQLite`.
    Sqlite,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Reads.
    Select,
    /// Adds rows.
    Insert,
    /// Changes rows.
    Update,
    /// Removes rows.
    Delete,
}

/// Kinds of statements, tables and functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    dialect: Dialect,
    statements: Vec<StatementKind>,
    /// As the dialect folds them. None: any.
    tables: Option<Vec<String>>,
    /// Allowed beside those that only compute, in lower case.
    functions: Vec<String>,
}

impl Sql {
    pub(super) fn read(members: &mut Members<'_>, budget: &mut Budget) -> Result<Self, InvalidConstraint> {
        let dialect = text("dialect", members.take("dialect")?)?;
        let dialect = named(&Dialect::NAMES, dialect)
            .ok_or_else(|| wrong("dialect", "it must be `postgres`, `mysql` or `sqlite`"))?;
        let statements = budget.texts("statements", members.take("statements")?)?;
        let kinds = statements
            .iter()
            .map(|kind| named(&StatementKind::NAMES, kind))
            .collect::<Option<_>>();
        let statements = kinds.ok_or_else(|| {
            wrong(
                "statements",
                "each must be `select`, `insert`, `update` or `delete`",
            )
        })?;
        let tables = members
            .optional("tables")
            .map(|tables| budget.texts("tables", tables));
        let tables = tables.transpose()?;
        if !tables.iter().flatten().all(|table| table.split('.').all(is_name)) {
            return Err(wrong(
                "tables",
                "each must be a name, or names with dots between, of letters, digits and `_`",
            ));
        }
        let functions = members
            .optional("functions")
            .map(|it| budget.texts("functions", it));
        let functions = functions.transpose()?.unwrap_or_default();
        if !functions
            .iter()
            .all(|it| is_name(it) && *it == it.to_ascii_lowercase())
        {
            return Err(wrong("functions", "each must be a name in lower case"));
        }
        Ok(Self {
            dialect,
            statements,
            tables,
            functions,
        })
    }

    pub(super) fn write(&self) -> Value {
        let statements: Vec<_> = self
            .statements
            .iter()
            .map(|kind| name(&StatementKind::NAMES, *kind))
            .collect();
        let dialect = name(&Dialect::NAMES, self.dialect);
        let mut sql = json!({"constraint_type": "sql", "dialect": dialect, "statements": statements});
        if let Some(tables) = &self.tables {
            sql["tables"] = json!(tables);
        }
        if !self.functions.is_empty() {
            sql["functions"] = json!(self.functions);
        }
        sql
    }

    pub(super) fn admits(&self, text: &str) -> Result<(), Refused> {
        script::check(text)?;
        walk::check(self, walk::statement(self.dialect, text)?)
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        let tables = match (&self.tables, &parent.tables) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(tables), Some(_)) => tables.iter().all(|table| parent.has_table(table)),
        };
        self.dialect == parent.dialect
            && self
                .statements
                .iter()
                .all(|kind| parent.statements.contains(kind))
            && tables
            && self.functions.iter().all(|it| parent.may_call(it))
    }

    /// Whether a table of this name, folded, is listed.
    fn has_table(&self, name: &str) -> bool {
        let is_same = |listed: &String| match self.dialect {
            Dialect::Sqlite => listed.eq_ignore_ascii_case(name),
            Dialect::Postgres | Dialect::MySql => listed == name,
        };
        self.tables
            .as_ref()
            .is_none_or(|tables| tables.iter().any(is_same))
    }

    fn may_call(&self, function: &str) -> bool {
        words::COMPUTES.contains(&function) || self.functions.iter().any(|listed| listed == function)
    }
}

impl Dialect {
    const NAMES: [(&str, Self); 3] = [
        ("postgres", Self::Postgres),
        ("mysql", Self::MySql),
        ("sqlite", Self::Sqlite),
    ];

    fn parser(self) -> &'static dyn dialect::Dialect {
        match self {
            Self::Postgres => &PostgreSqlDialect {},
            Self::MySql => &dialect::MySqlDialect {},
            Self::Sqlite => &SQLiteDialect {},
        }
    }
}

impl StatementKind {
    const NAMES: [(&str, Self); 4] = [
        ("select", Self::Select),
        ("insert", Self::Insert),
        ("update", Self::Update),
        ("delete", Self::Delete),
    ];
}

fn named<T: Copy>(names: &[(&str, T)], name: &str) -> Option<T> {
    names.iter().find(|(it, _)| *it == name).map(|(_, value)| *value)
}

fn name<T: PartialEq + Copy>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find(|(_, it)| *it == value)
        .map_or("", |(name, _)| *name)
}

/// Letters, digits and `_` of ASCII: every dialect reads such a name alike.
fn is_name(name: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_name_byte)
}
