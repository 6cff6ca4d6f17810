//! A parsed statement, part by part: what is not on a list is refused.
//!
//! **Invariant**: each match here names what it lets through.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, Function, Ident, Insert, ObjectName, Query, Select, SelectFlavor, SetExpr,
    Statement, TableFactor, TableObject, UnaryOperator, Update, Value, Visit, Visitor, With,
};
use sqlparser::parser::Parser;

use super::super::Refused;
use super::words::RESERVED;
use super::{Dialect, Sql, StatementKind, is_name};

/// Expressions and subqueries may nest this deep.
const DEPTH_MAX: usize = 24;

const UNKNOWN: Refused = Refused("the statement has a part that is not understood here");
const KIND: Refused = Refused("a statement of this kind is not allowed");

/// Walks a statement; which `WITH` names are in scope grows from one to the next.
struct Walk<'a> {
    sql: &'a Sql,
    with: Vec<String>,
}

/// The one statement that the text is.
pub(super) fn statement(dialect: Dialect, text: &str) -> Result<Statement, Refused> {
    let unreadable = |_| Refused("it is not one statement that is understood here");
    let mut parser = Parser::new(dialect.parser())
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(text)
        .map_err(unreadable)?;
    let mut statements = parser.parse_statements().map_err(unreadable)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Refused("it is not exactly one statement")),
    }
}

/// Whether all of it is allowed.
pub(super) fn check(sql: &Sql, mut statement: Statement) -> Result<(), Refused> {
    let mut walk = Walk {
        sql,
        with: Vec::new(),
    };
    if let Statement::Query(query) = &mut statement
        && let Some(With {
            recursive,
            cte_tables,
            ..
        }) = query.with.take()
    {
        if recursive {
            return Err(UNKNOWN);
        }
        for cte in cte_tables {
            // A table of the same name is what it means inside itself.
            walk.run(&cte.query)?;
            let name = walk.folded(&cte.alias.name).ok_or(UNKNOWN)?;
            walk.with.push(name);
        }
    }
    walk.run(&statement)
}

impl Walk<'_> {
    fn run(&mut self, part: &impl Visit) -> Result<(), Refused> {
        match part.visit(self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(refused) => Err(refused),
        }
    }

    /// A name as the database takes it.
    fn folded(&self, ident: &Ident) -> Option<String> {
        let is_as_written = ident.quote_style.is_some() || self.sql.dialect == Dialect::MySql;
        let name = if is_as_written {
            ident.value.clone()
        } else {
            ident.value.to_ascii_lowercase()
        };
        is_name(&name).then_some(name)
    }

    fn table(&self, name: &ObjectName) -> Option<String> {
        let parts = name.0.iter().map(|part| self.folded(part.as_ident()?));
        parts.collect::<Option<Vec<_>>>().map(|parts| parts.join("."))
    }

    fn allows(&self, kind: StatementKind) -> Result<(), Refused> {
        if self.sql.statements.contains(&kind) {
            Ok(())
        } else {
            Err(KIND)
        }
    }

    fn statement(&self, statement: &Statement) -> Result<(), Refused> {
        match statement {
            Statement::Query(_) => Ok(()),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => {
                self.allows(StatementKind::Update)?;
                known(is_plain_update(update))
            }
            Statement::Delete(delete) => {
                self.allows(StatementKind::Delete)?;
                known(is_plain_delete(delete))
            }
            _ => Err(KIND),
        }
    }

    fn insert(&self, insert: &Insert) -> Result<(), Refused> {
        self.allows(StatementKind::Insert)?;
        // Where the row is there already, it is changed.
        if insert.on.is_some() || !insert.assignments.is_empty() {
            self.allows(StatementKind::Update)?;
        }
        known(is_plain_insert(insert))
    }

    fn function(&self, function: &Function) -> Result<(), Refused> {
        let name = match function.name.0.as_slice() {
            [name] => name.as_ident().map(|ident| ident.value.to_ascii_lowercase()),
            _ => None,
        };
        if name.is_some_and(|name| self.sql.may_call(&name)) {
            return Ok(());
        }
        Err(Refused("the statement calls a function that is not allowed"))
    }

    fn expression(&self, expr: &Expr) -> Result<(), Refused> {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::BinaryOp { op, .. } => known(is_plain_operator(op)),
            Expr::UnaryOp { op, .. } => known(matches!(
                op,
                UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not
            )),
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Cast { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::Tuple(_) => Ok(()),
            _ => Err(UNKNOWN),
        }
    }
}

impl Visitor for Walk<'_> {
    type Break = Refused;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Refused> {
        flow(self.statement(statement))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refused> {
        flow(known(is_plain_query(query) && is_plain_body(&query.body)))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refused> {
        flow(
            self.allows(StatementKind::Select)
                .and(known(is_plain_select(select))),
        )
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Refused> {
        let name = self.table(relation);
        let is_allowed = name.is_some_and(|name| self.with.contains(&name) || self.sql.has_table(&name));
        if is_allowed {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Refused("the statement names a table that is not allowed"))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refused> {
        flow(known(is_plain_factor(factor)))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refused> {
        flow(self.expression(expr))
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<Refused> {
        let is_reserved = RESERVED.iter().any(|word| ident.value.eq_ignore_ascii_case(word));
        flow(known(ident.quote_style.is_some() || !is_reserved))
    }

    fn pre_visit_value(&mut self, value: &sqlparser::ast::ValueWithSpan) -> ControlFlow<Refused> {
        flow(known(matches!(
            value.value,
            Value::Number(..)
                | Value::SingleQuotedString(_)
                | Value::DoubleQuotedString(_)
                | Value::Boolean(_)
                | Value::Null
                | Value::Placeholder(_)
        )))
    }
}

fn flow(result: Result<(), Refused>) -> ControlFlow<Refused> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(refused) => ControlFlow::Break(refused),
    }
}

fn known(is_known: bool) -> Result<(), Refused> {
    if is_known { Ok(()) } else { Err(UNKNOWN) }
}

/// No lock, no format of some database alone; a `WITH` only at the top, where it was taken off.
fn is_plain_query(query: &Query) -> bool {
    let Query {
        with,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
        ..
    } = query;
    with.is_none()
        && locks.is_empty()
        && for_clause.is_none()
        && settings.is_none()
        && format_clause.is_none()
        && pipe_operators.is_empty()
}

fn is_plain_body(body: &SetExpr) -> bool {
    match body {
        SetExpr::SetOperation { left, right, .. } => is_plain_body(left) && is_plain_body(right),
        SetExpr::Select(_)
        | SetExpr::Query(_)
        | SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_) => true,
        SetExpr::Merge(_) | SetExpr::Table(_) => false,
    }
}

fn is_plain_select(select: &Select) -> bool {
    select.into.is_none()
        && select.optimizer_hints.is_empty()
        && select.select_modifiers.is_none()
        && select.exclude.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty()
        && select.qualify.is_none()
        && select.value_table_mode.is_none()
        && select.flavor == SelectFlavor::Standard
}

fn is_plain_factor(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table {
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_directives,
            ..
        } => {
            args.is_none()
                && with_hints.is_empty()
                && version.is_none()
                && !with_ordinality
                && partitions.is_empty()
                && json_path.is_none()
                && sample.is_none()
                && index_directives.is_empty()
        }
        TableFactor::Derived { sample, .. } => sample.is_none(),
        TableFactor::NestedJoin { .. } => true,
        _ => false,
    }
}

fn is_plain_insert(insert: &Insert) -> bool {
    insert.or.is_none()
        && !insert.ignore
        && insert.into
        && matches!(insert.table, TableObject::TableName(_))
        && !insert.by_name
        && !insert.overwrite
        && insert.partitioned.is_none()
        && insert.after_columns.is_empty()
        && insert.overriding.is_none()
        && !insert.has_table_keyword
        && insert.output.is_none()
        && !insert.replace_into
        && insert.priority.is_none()
        && insert.settings.is_none()
        && insert.optimizer_hints.is_empty()
}

fn is_plain_update(update: &Update) -> bool {
    update.on_cluster.is_none()
        && update.output.is_none()
        && update.or.is_none()
        && update.settings.is_none()
        && update.optimizer_hints.is_empty()
}

fn is_plain_delete(delete: &Delete) -> bool {
    delete.tables.is_empty()
        && delete.on_cluster.is_none()
        && delete.output.is_none()
        && delete.settings.is_none()
        && delete.optimizer_hints.is_empty()
}

fn is_plain_operator(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(
        op,
        B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::StringConcat
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Eq
            | B::NotEq
            | B::And
            | B::Or
    )
}
