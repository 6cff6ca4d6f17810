//! In which situations an expression holds, fails or errs, and what becomes of these three sets as inputs rise.
//!
//! They are worked out as Cedar evaluates: `&&` asks its right side only if the left holds, `a || b` is `!(!a && !b)`, a comparison asks
//! both sides. Where a set can be written in two ways, whatever either shows holds.

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp};

use super::inputs::{self, At, children};
use super::trend::Trend;

/// Functions of extensions that may err however well they are typed: the result may not fit.
const MAY_OVERFLOW: [&str; 3] = ["offset", "durationSince", "toDate"];

/// The three sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Where it is true.
    pub(super) holds: Trend,
    /// Where it is false.
    pub(super) fails: Trend,
    /// Where it errs; none: nowhere.
    errs: Option<Trend>,
}

/// What an expression is, apart from true and false.
#[derive(Debug, Clone, Copy)]
struct Amount {
    trend: Trend,
    errs: Option<Trend>,
    /// A number that is not below 0.
    is_natural: bool,
}

/// What was asked with `has` before, and was there.
#[derive(Debug, Clone, Default)]
pub(super) struct Guards<'e>(Vec<(&'e Expr, &'e str)>);

impl<'e> Guards<'e> {
    /// These, and those that hold where this expression does.
    pub(super) fn and(&self, asked: &'e Expr) -> Self {
        let mut guards = self.clone();
        guards.add(asked);
        guards
    }

    fn add(&mut self, asked: &'e Expr) {
        match asked.expr_kind() {
            ExprKind::And { left, right } => {
                self.add(left);
                self.add(right);
            }
            ExprKind::HasAttr { expr, attr } => self.0.push((expr, attr.as_str())),
            _ => {}
        }
    }

    fn have(&self, base: &Expr, attr: &str) -> bool {
        self.0
            .iter()
            .any(|(known, name)| *name == attr && known.eq_shape(base))
    }
}

impl Outcome {
    /// Whether what errs goes on to err.
    pub(super) fn errors_grow(self) -> bool {
        self.errs.is_none_or(|errs| errs.grows)
    }

    const fn steady(errs: bool) -> Self {
        Self {
            holds: Trend::STEADY,
            fails: Trend::STEADY,
            errs: if errs { Some(Trend::STEADY) } else { None },
        }
    }

    const UNKNOWN: Self = Self {
        holds: Trend::UNKNOWN,
        fails: Trend::UNKNOWN,
        errs: Some(Trend::UNKNOWN),
    };

    /// Of something true in this set, wherever it does not err.
    fn of(set: Trend, errs: Option<Trend>) -> Self {
        let elsewhere = errs.map_or(Trend::STEADY, Trend::flipped);
        Self {
            holds: set.with(elsewhere),
            fails: set.flipped().with(elsewhere),
            errs,
        }
        .refined()
    }

    const fn not(self) -> Self {
        Self {
            holds: self.fails,
            fails: self.holds,
            errs: self.errs,
        }
    }

    fn and(self, right: Self) -> Self {
        let not_erred = self.errs.map_or(Trend::STEADY, Trend::flipped);
        let holds = self.holds.with(right.holds);
        let fails = (self.fails.with(right.fails).with(not_erred))
            .or_shown(self.fails.with(self.holds).with(right.fails));
        let later = right.errs.map(|errs| {
            let asked = errs.with(self.holds);
            asked.or_shown(errs.with(self.fails.flipped()))
        });
        Self {
            holds,
            fails,
            errs: either(self.errs, later),
        }
        .refined()
    }

    fn or(self, right: Self) -> Self {
        self.not().and(right.not()).not()
    }

    fn choice(self, then: Self, otherwise: Self) -> Self {
        let by = self.holds.with(self.fails);
        let branches = either(then.errs, otherwise.errs).map(|errs| errs.with(by));
        Self {
            holds: by.with(then.holds).with(otherwise.holds),
            fails: by.with(then.fails).with(otherwise.fails),
            errs: either(self.errs, branches),
        }
        .refined()
    }

    fn or_steady(errs: Option<Trend>) -> Trend {
        errs.unwrap_or(Trend::STEADY)
    }

    /// Each of the three is all that the other two are not.
    fn refined(self) -> Self {
        let errs = Self::or_steady(self.errs);
        let holds = self.holds.or_shown(self.fails.with(errs).flipped());
        let fails = self.fails.or_shown(holds.with(errs).flipped());
        Self {
            holds,
            fails,
            errs: self.errs.map(|errs| errs.or_shown(holds.with(fails).flipped())),
        }
    }
}

/// What becomes of an expression that is true or false.
pub(super) fn outcome<'e>(expression: &'e Expr, guards: &Guards<'e>) -> Outcome {
    if !inputs::mentions(expression) {
        return Outcome::steady(may_err(expression, guards));
    }
    match expression.expr_kind() {
        ExprKind::And { left, right } => outcome(left, guards).and(outcome(right, &guards.and(left))),
        ExprKind::Or { left, right } => outcome(left, guards).or(outcome(right, guards)),
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => choice(test_expr, then_expr, else_expr, guards),
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => outcome(arg, guards).not(),
        ExprKind::UnaryApp {
            op: UnaryOp::IsEmpty,
            arg,
        } => {
            let set = amount(arg, guards);
            Outcome::of(set.trend.flipped(), set.errs)
        }
        ExprKind::BinaryApp { op, arg1, arg2 } => compared(*op, arg1, arg2, guards),
        ExprKind::HasAttr { expr, attr } => asked(inputs::asks_for_use(expr, &[attr])),
        ExprKind::ExtHasAttr { expr, attrs } => {
            asked(inputs::asks_for_use(expr, &attrs.iter().collect::<Vec<_>>()))
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => match args.as_slice() {
            [left, right] => of_decimals(&fn_name.to_string(), left, right, guards),
            _ => Outcome::UNKNOWN,
        },
        _ => Outcome::UNKNOWN,
    }
}

/// A choice between literals is an `&&` or an `||` in other words.
fn choice<'e>(test: &'e Expr, then: &'e Expr, otherwise: &'e Expr, guards: &Guards<'e>) -> Outcome {
    let by = outcome(test, guards);
    let taken = outcome(then, &guards.and(test));
    let other = outcome(otherwise, guards);
    match (literal(then), literal(otherwise)) {
        (Some(false), _) => by.not().and(other),
        (Some(true), _) => by.or(other),
        (_, Some(false)) => by.and(taken),
        (_, Some(true)) => by.not().or(taken),
        _ => by.choice(taken, other),
    }
}

fn asked(trend: Option<Trend>) -> Outcome {
    Outcome::of(trend.unwrap_or(Trend::STEADY), None)
}

fn compared<'e>(op: BinaryOp, left: &'e Expr, right: &'e Expr, guards: &Guards<'e>) -> Outcome {
    let (a, b) = (amount(left, guards), amount(right, guards));
    let set = match op {
        BinaryOp::Less | BinaryOp::LessEq => a.trend.less(b.trend),
        BinaryOp::Eq => equal(left, right, guards).or_shown(equal(right, left, guards)),
        BinaryOp::Contains if b.trend == Trend::STEADY => a.trend,
        BinaryOp::ContainsAll => b.trend.less(a.trend),
        BinaryOp::ContainsAny => a.trend.with(b.trend),
        _ => Trend::UNKNOWN,
    };
    Outcome::of(set, either(a.errs, b.errs))
}

fn of_decimals<'e>(name: &str, left: &'e Expr, right: &'e Expr, guards: &Guards<'e>) -> Outcome {
    let (a, b) = (amount(left, guards), amount(right, guards));
    let set = match name {
        "lessThan" | "lessThanOrEqual" => a.trend.less(b.trend),
        "greaterThan" | "greaterThanOrEqual" => b.trend.less(a.trend),
        _ => return Outcome::UNKNOWN,
    };
    Outcome::of(set, either(a.errs, b.errs))
}

/// An input is equal to its lowest value until it rises, and to its highest from then on.
fn equal(input: &Expr, value: &Expr, guards: &Guards<'_>) -> Trend {
    let place = inputs::path(input);
    let rises = place.as_deref().map(inputs::at);
    match (rises, value.expr_kind()) {
        (Some(At::Rising(highest)), ExprKind::Lit(Literal::Long(value))) => match highest {
            _ if *value < 0 => Trend::STEADY,
            _ if *value == 0 => Trend::FALLING,
            Some(highest) if *value == highest => Trend::RISING,
            Some(highest) if *value > highest => Trend::STEADY,
            _ => Trend::UNKNOWN,
        },
        (Some(At::Rising(_)), ExprKind::Set(elements)) if elements.is_empty() => Trend::FALLING,
        _ => {
            let (a, b) = (amount(input, guards), amount(value, guards));
            if a.trend == Trend::STEADY && b.trend == Trend::STEADY {
                Trend::STEADY
            } else {
                Trend::UNKNOWN
            }
        }
    }
}

/// What becomes of a quantity or a set.
fn amount<'e>(expression: &'e Expr, guards: &Guards<'e>) -> Amount {
    if !inputs::mentions(expression) {
        return Amount {
            trend: Trend::STEADY,
            errs: may_err(expression, guards).then_some(Trend::STEADY),
            is_natural: matches!(expression.expr_kind(), ExprKind::Lit(Literal::Long(0..))),
        };
    }
    match expression.expr_kind() {
        ExprKind::GetAttr { expr, .. } => input(expression, expr, guards),
        ExprKind::UnaryApp {
            op: UnaryOp::Neg,
            arg,
        } => amount(arg, guards).negated(),
        ExprKind::BinaryApp {
            op: BinaryOp::Add,
            arg1,
            arg2,
        } => amount(arg1, guards).plus(amount(arg2, guards)),
        ExprKind::BinaryApp {
            op: BinaryOp::Sub,
            arg1,
            arg2,
        } => amount(arg1, guards).minus(amount(arg2, guards)),
        ExprKind::BinaryApp {
            op: BinaryOp::Mul,
            arg1,
            arg2,
        } => amount(arg1, guards).times(amount(arg2, guards)),
        ExprKind::ExtensionFunctionApp { fn_name, args } => match args.as_slice() {
            [duration] if is_length(&fn_name.to_string()) => amount(duration, guards),
            _ => Amount::UNKNOWN,
        },
        _ => Amount::UNKNOWN,
    }
}

fn input(whole: &Expr, base: &Expr, guards: &Guards<'_>) -> Amount {
    let Some(path) = inputs::path(whole) else {
        return Amount::UNKNOWN;
    };
    let trend = match inputs::at(&path) {
        At::Steady => Trend::STEADY,
        At::Rising(_) => Trend::RISING,
        At::Falling => Trend::FALLING,
        At::Whole => Trend::UNKNOWN,
    };
    // A tool that was never used is missing; once used, it is there.
    let is_missing = match (path.as_slice(), base.expr_kind()) {
        (["task", "used", _, _], ExprKind::GetAttr { expr, attr }) => !guards.have(expr, attr),
        _ => false,
    };
    Amount {
        trend,
        errs: is_missing.then_some(Trend::FALLING),
        is_natural: true,
    }
}

impl Amount {
    const UNKNOWN: Self = Self {
        trend: Trend::UNKNOWN,
        errs: Some(Trend::UNKNOWN),
        is_natural: false,
    };

    /// Something of which only the trend is known, and that may not fit.
    fn computed(trend: Trend, a: Self, b: Self, overflow: Option<Trend>, is_natural: bool) -> Self {
        Self {
            trend,
            errs: either(either(a.errs, b.errs), overflow),
            is_natural,
        }
    }

    fn negated(self) -> Self {
        Self {
            trend: self.trend.flipped(),
            errs: if self.is_natural {
                self.errs
            } else {
                Some(Trend::UNKNOWN)
            },
            is_natural: false,
        }
    }

    fn plus(self, other: Self) -> Self {
        let trend = self.trend.with(other.trend);
        // Naturals that grow, once too large, stay so.
        let naturals = self.is_natural && other.is_natural;
        let overflow = if naturals && trend.grows {
            Trend::RISING
        } else {
            Trend::UNKNOWN
        };
        Self::computed(trend, self, other, Some(overflow), naturals)
    }

    fn minus(self, other: Self) -> Self {
        let trend = self.trend.with(other.trend.flipped());
        // The difference of naturals always fits.
        let overflow = if self.is_natural && other.is_natural {
            None
        } else {
            Some(Trend::UNKNOWN)
        };
        Self::computed(trend, self, other, overflow, false)
    }

    fn times(self, other: Self) -> Self {
        let naturals = self.is_natural && other.is_natural;
        let trend = if naturals {
            self.trend.with(other.trend)
        } else {
            Trend::UNKNOWN
        };
        let overflow = if trend.grows {
            Trend::RISING
        } else {
            Trend::UNKNOWN
        };
        Self::computed(trend, self, other, Some(overflow), naturals)
    }
}

/// Whether evaluating it may err. Strict validation has refused what is of the wrong type and what is missing of a record; left are
/// entities that do not exist and results that do not fit.
fn may_err(expression: &Expr, guards: &Guards<'_>) -> bool {
    if inputs::path(expression).is_some() {
        return false;
    }
    let own = match expression.expr_kind() {
        ExprKind::GetAttr { expr, attr } => !guards.have(expr, attr),
        ExprKind::BinaryApp { op, .. } => {
            matches!(
                op,
                BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::GetTag
            )
        }
        ExprKind::UnaryApp { op, .. } => *op == UnaryOp::Neg,
        ExprKind::ExtensionFunctionApp { fn_name, .. } => {
            MAY_OVERFLOW.contains(&fn_name.to_string().as_str())
        }
        ExprKind::And { left, right } => return may_err(left, guards) || may_err(right, &guards.and(left)),
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => {
            return may_err(test_expr, guards)
                || may_err(then_expr, &guards.and(test_expr))
                || may_err(else_expr, guards);
        }
        _ => false,
    };
    own || children(expression)
        .into_iter()
        .any(|child| may_err(child, guards))
}

/// Functions that give the length of a duration as a number.
fn is_length(name: &str) -> bool {
    matches!(
        name,
        "toMilliseconds" | "toSeconds" | "toMinutes" | "toHours" | "toDays"
    )
}

fn either(a: Option<Trend>, b: Option<Trend>) -> Option<Trend> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.with(b)),
        (one, other) => one.or(other),
    }
}

fn literal(expression: &Expr) -> Option<bool> {
    match expression.expr_kind() {
        ExprKind::Lit(Literal::Bool(value)) => Some(*value),
        _ => None,
    }
}
