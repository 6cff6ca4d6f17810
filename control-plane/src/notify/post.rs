//! Posting to a receiver that somebody configured and that nobody need trust.
//!
//! **Invariant**: what is connected to is an address that was judged, never a name that is looked up again; a redirect is a
//! failure; however slowly or endlessly a receiver answers, it is waited for and listened to within bounds.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::may_reach;
use super::channel::{Failure, Target};
use checkrein_http::{ExchangeError, bare_host, exchange};

/// How long one delivery may take, from looking up the name to the end of the answer.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(15);
/// How long one of a name's addresses may take to answer, so that there is time for the next.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(3);
/// So much of an answer is read; none of it is kept.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// So many of a name's addresses are tried.
const ADDRESSES_MAX: usize = 4;
/// A receiver that asks to be left alone for longer is asked again after this.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Posts once, in so much time from this moment on.
pub(super) async fn post(
    target: &Target,
    tls: &TlsConnector,
    headers: &[(&'static str, String)],
    body: Bytes,
    (now_ms, within): (u64, Duration),
) -> Result<(), Failure> {
    let uri: Option<Uri> = std::str::from_utf8(target.uri.bytes())
        .ok()
        .and_then(|uri| uri.parse().ok());
    let request = uri.and_then(|uri| Some((request(&uri, headers, body)?, uri)));
    let Some((request, uri)) = request else {
        return Err(Failure::Never("the URL can't be posted to".to_owned()));
    };
    let answered = timeout(within, answer(target, tls, &uri, request)).await;
    judge(&answered.map_err(|_| later(too_late(within)))??, now_ms)
}

fn request(uri: &Uri, headers: &[(&'static str, String)], body: Bytes) -> Option<Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, uri.authority()?.as_str())
        .header(USER_AGENT, concat!("checkrein/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(body)).ok()
}

async fn answer(
    target: &Target,
    tls: &TlsConnector,
    uri: &Uri,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, Failure> {
    let host = bare_host(uri);
    let is_encrypted = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let stream = connect(target, host, port, is_encrypted).await?;
    let answered = if is_encrypted {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::Never(format!("`{host}` is no name that a certificate can have")))?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| later(format!("no TLS with `{host}`: {error}")))?;
        exchange(stream, request, ANSWER_BYTES_MAX).await
    } else {
        exchange(stream, request, ANSWER_BYTES_MAX).await
    };
    answered.map_err(|error: ExchangeError| later(error.to_string()))
}

/// Connects to the first address of a name that answers, of those that may be reached.
async fn connect(target: &Target, host: &str, port: u16, is_encrypted: bool) -> Result<TcpStream, Failure> {
    let found = lookup_host((host, port))
        .await
        .map_err(|error| later(format!("`{host}` can't be looked up: {error}")))?;
    let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.partition(|found| may_reach(found.ip(), is_encrypted, &target.allowed));
    let mut why = match refused.first() {
        Some(address) if is_encrypted => format!(
            "`{host}` is at {}, an internal address: list its network in `allow_internal` if that is meant",
            address.ip()
        ),
        Some(address) => format!(
            "`{host}` is at {}, which may be posted to over https only: http is for networks in `allow_internal`",
            address.ip()
        ),
        None => format!("`{host}` has no address"),
    };
    match connect_to(allowed.into_iter().take(ADDRESSES_MAX), CONNECT_MAX).await {
        Ok(stream) => return Ok(stream),
        Err(Some(error)) => why = format!("can't connect to `{host}`: {error}"),
        Err(None) => {}
    }
    Err(later(why))
}

/// Connects to the first of these that answers, each in so much time; or says why the last did not, if there is any.
async fn connect_to(
    addresses: impl Iterator<Item = SocketAddr>,
    each: Duration,
) -> Result<TcpStream, Option<String>> {
    let mut why = None;
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = Some(error.to_string()),
            Err(_) => why = Some(format!("{} does not answer", address.ip())),
        }
    }
    Err(why)
}

/// Why a delivery that took too long failed.
pub(super) fn too_late(within: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(within))
}

fn judge(response: &Response<Bytes>, now_ms: u64) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status == StatusCode::GONE {
        return Err(Failure::Gone(
            "the receiver answered 410 Gone: it wants no more".to_owned(),
        ));
    }
    let why = if status.is_redirection() {
        format!("the receiver answered {status}, and redirects are not followed: configure where it leads")
    } else {
        format!("the receiver answered {status}")
    };
    let after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry_after(text, now_ms));
    Err(Failure::Later(why, after))
}

/// How long a receiver wants to be left alone, within a bound (RFC 9110, section 10.2.3: seconds, or a date).
fn retry_after(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        let now = std::time::UNIX_EPOCH + Duration::from_millis(now_ms);
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn later(why: String) -> Failure {
    Failure::Later(why, None)
}

#[cfg(test)]
mod tests;
