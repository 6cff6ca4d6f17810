//! Cedar's extension values: decimals, moments, durations, addresses, made by Cedar's own constructors.

use std::sync::LazyLock;

use cedar_policy_core::ast::{Name, PartialValue, Value};
use cedar_policy_core::extensions::Extensions;

/// The constructors' names, parsed once.
struct Constructors {
    decimal: Option<Name>,
    datetime: Option<Name>,
    duration: Option<Name>,
    ip: Option<Name>,
    offset: Option<Name>,
}

static CONSTRUCTORS: LazyLock<Constructors> = LazyLock::new(|| {
    let name = |text| Name::parse_unqualified_name(text).ok();
    Constructors {
        decimal: name("decimal"),
        datetime: name("datetime"),
        duration: name("duration"),
        ip: name("ip"),
        offset: name("offset"),
    }
});

/// A decimal: `-12.3400`.
pub(super) fn decimal(text: &str) -> Option<Value> {
    call(CONSTRUCTORS.decimal.as_ref(), text)
}

/// A moment, if Cedar reads the text as one.
pub(super) fn datetime(text: &str) -> Option<Value> {
    call(CONSTRUCTORS.datetime.as_ref(), text)
}

/// A duration as Cedar writes it: `1d2h`.
pub(super) fn duration(text: &str) -> Option<Value> {
    call(CONSTRUCTORS.duration.as_ref(), text)
}

/// An IP address or range.
pub(super) fn ip(text: &str) -> Option<Value> {
    call(CONSTRUCTORS.ip.as_ref(), text)
}

/// A duration of milliseconds.
pub(super) fn milliseconds(ms: u64) -> Option<Value> {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    duration(&format!("{ms}ms"))
}

/// Milliseconds since the Unix epoch, as a moment.
pub(super) fn moment(ms: u64) -> Option<Value> {
    static EPOCH: LazyLock<Option<Value>> = LazyLock::new(|| datetime("1970-01-01"));
    apply(CONSTRUCTORS.offset.as_ref(), &[EPOCH.clone()?, milliseconds(ms)?])
}

fn call(constructor: Option<&Name>, text: &str) -> Option<Value> {
    apply(constructor, &[Value::from(text)])
}

fn apply(function: Option<&Name>, arguments: &[Value]) -> Option<Value> {
    let function = Extensions::all_available().func(function?).ok()?;
    match function.call(arguments).ok()? {
        PartialValue::Value(value) => Some(value),
        PartialValue::Residual(_) => None,
    }
}
