//! The cookies of the console.
//!
//! **Invariant**: no script reads one and no other site sends one. Over TLS only the guarded name is read: a neighbour of this
//! site, or whoever answers in its place without TLS, could have set the plain one. One that comes twice is none.

use axum::http::header::{COOKIE, HeaderMap};

/// A cookie, under the name that it has over TLS and the one on a plain loopback address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    /// Begins with `__Host-`: no other host, path or plain connection can set it.
    pub secure: &'static str,
    /// Without.
    pub plain: &'static str,
}

impl Cookie {
    /// What the browser sent of it.
    pub(super) fn read(self, headers: &HeaderMap, is_secure: bool) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut values = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter(|(name, _)| *name == self.name(is_secure))
            .map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }

    /// As the browser is to keep it, for so many seconds, or until it is closed. Lax: it comes along when somebody follows a link,
    /// or an issuer sends the browser back.
    pub(super) fn set(self, value: &str, is_secure: bool, max_age_s: Option<u64>) -> String {
        let name = self.name(is_secure);
        let secure = if is_secure { "; Secure" } else { "" };
        let age = max_age_s.map(|seconds| format!("; Max-Age={seconds}"));
        let age = age.unwrap_or_default();
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")
    }

    const fn name(self, is_secure: bool) -> &'static str {
        if is_secure { self.secure } else { self.plain }
    }
}
