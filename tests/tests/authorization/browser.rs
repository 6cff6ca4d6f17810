//! A browser, as far as signing in needs one: it keeps cookies as it is told, sends them where they belong, and goes where it
//! is sent only when a test says so.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::codegen::http::Uri;

use checkrein_tests::WAIT_MAX;

/// Cookies, by host and name; a port is no border to them, as the standard has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<(String, String), String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    origin: String,
}

impl Browser {
    pub(crate) async fn get(&mut self, url: &str) -> Page {
        self.send("GET", url, &[], "").await
    }

    /// Sends a form as a page of the same site does.
    pub(crate) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let uri: Uri = url.parse().unwrap();
        let origin = format!("{}://{}", uri.scheme_str().unwrap(), uri.authority().unwrap());
        let headers = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
        self.post_from(url, form, &headers).await
    }

    /// Sends a form from wherever these headers say.
    pub(crate) async fn post_from(
        &mut self,
        url: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let pairs: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", url, &[&kind[..], headers].concat(), &pairs.join("&"))
            .await
    }

    async fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let uri: Uri = url.parse().unwrap();
        let authority = uri.authority().unwrap();
        let path = uri.path_and_query().unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let kept = self
            .cookies
            .iter()
            .filter(|((host, _), _)| host == authority.host());
        let kept: Vec<String> = kept.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !kept.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", kept.join("; ")));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let address = (authority.host(), uri.port_u16().unwrap());
        let answer = timeout(WAIT_MAX, exchange(address, &request)).await.unwrap();
        let page = Page::read(&answer, format!("http://{authority}"));
        self.keep(authority.host(), &page);
        page
    }

    fn keep(&mut self, host: &str, page: &Page) {
        for cookie in page.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let place = (host.to_owned(), name.to_owned());
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(&place);
            } else {
                self.cookies.insert(place, value.to_owned());
            }
        }
    }
}

impl Page {
    fn read(answer: &str, origin: String) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status,
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
            origin,
        }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(header, _)| header == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Where it sends the browser, wholly spelled out.
    pub(crate) fn location(&self) -> String {
        assert_eq!(self.status, 303, "{self:?}");
        let location = self.all("location")[0];
        match location.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.origin),
            None => location.to_owned(),
        }
    }

    /// The value of a field of a form on it.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, after) = self
            .body
            .split_once(&format!("name=\"{name}\" value=\""))
            .unwrap();
        after.split('"').next().unwrap().to_owned()
    }
}

/// The value of a parameter in the query of an address, as it is spelled there.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(parameter, _)| *parameter == name);
    found.map(|(_, value)| value.to_owned()).unwrap()
}

async fn exchange(address: (&str, u16), request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
