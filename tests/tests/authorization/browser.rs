//! A browser, as far as signing in needs one: it keeps cookies as it is told, sends them where they belong, and goes where it
//! is sent only when a test says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::codegen::http::{HeaderMap, Request, Uri};

/// Cookies, by host and name; a port is no border to them, as the standard has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<(String, String), String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    site: String,
}

impl Browser {
    pub(crate) async fn get(&mut self, url: &str) -> Page {
        let uri: Uri = url.parse().unwrap();
        let host = uri.host().unwrap().to_owned();
        let site = format!("http://{}", uri.authority().unwrap());
        let kept = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let kept: Vec<String> = kept.map(|((_, name), value)| format!("{name}={value}")).collect();
        let mut request = Request::get(uri);
        if !kept.is_empty() {
            request = request.header("cookie", kept.join("; "));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        for cookie in parts.headers.get_all("set-cookie") {
            self.keep(&host, cookie.to_str().unwrap());
        }
        Page {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            site,
        }
    }

    fn keep(&mut self, host: &str, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let place = (host.to_owned(), name.to_owned());
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(&place);
        } else {
            self.cookies.insert(place, value.to_owned());
        }
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it sends the browser, wholly spelled out.
    pub(crate) fn location(&self) -> String {
        assert!((300..400).contains(&self.status), "{self:?}");
        match self.header("location") {
            path if path.starts_with('/') => format!("{}{path}", self.site),
            elsewhere => elsewhere.to_owned(),
        }
    }
}

/// The value of a parameter in the query of an address, as it is spelled there.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(parameter, _)| *parameter == name);
    found.map(|(_, value)| value.to_owned()).unwrap()
}
