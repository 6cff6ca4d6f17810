//! What a browser does that matters to a server: cookies, forms, and saying from where it comes.

use std::collections::BTreeMap;

use bytes::Bytes;
use checkrein_proto::fleet::v1::SignInRequest;
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::codegen::http::{HeaderMap, Method, Request, Response, StatusCode};
use url::form_urlencoded;

/// A browser of one person.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    site: String,
    cookies: BTreeMap<String, String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(super) headers: HeaderMap,
    pub(crate) text: String,
}

/// What the console says while a page is open.
pub(super) struct Events(BoxBody<Bytes, String>);

impl Browser {
    /// Before the console of a replica, as nobody.
    pub(super) fn at(world: &World, replica: usize) -> Self {
        Self {
            site: world.console(replica),
            cookies: BTreeMap::new(),
        }
    }

    /// Signed in by a link, at whichever console it leads to.
    pub(crate) async fn by(url: &str) -> Self {
        let (site, link) = url.split_once("/sign-in?link=").unwrap();
        let mut browser = Self {
            site: site.to_owned(),
            cookies: BTreeMap::new(),
        };
        let answer = browser.post("/sign-in/link", &[("link", link)]).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    /// Signed in by a link.
    pub(super) async fn of(world: &World, role: Role, name: &str) -> Self {
        let mut browser = Self::at(world, 0);
        let link = link(world, role, name).await;
        let answer = browser.post("/sign-in/link", &[("link", &link)]).await;
        assert_eq!(answer.code, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    /// The same browser before another replica.
    pub(super) fn move_to(&mut self, world: &World, replica: usize) {
        self.site = world.console(replica);
    }

    /// What the browser would send as its session.
    pub(super) fn session(&self) -> Option<&str> {
        self.cookies.get("checkrein").map(String::as_str)
    }

    pub(super) fn keep(&mut self, session: &str) {
        self.cookies.insert("checkrein".to_owned(), session.to_owned());
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new(), &[]).await
    }

    /// A form of a page of the site itself.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let site = self.site.clone();
        let from = [("origin", site.as_str()), ("sec-fetch-site", "same-origin")];
        self.post_from(path, fields, &from).await
    }

    /// A form that comes from wherever these headers say.
    pub(super) async fn post_from(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.send(Method::POST, path, body, headers).await
    }

    /// What a page hears while it is open.
    pub(super) async fn listen(&self, path: &str) -> Events {
        let response = self.request(Method::GET, path, String::new(), &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        Events(response.into_body())
    }

    async fn send(&mut self, method: Method, path: &str, body: String, headers: &[(&str, &str)]) -> Answer {
        let response = self.request(method, path, body, headers).await;
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            self.take(cookie.to_str().unwrap());
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            code: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> Response<BoxBody<Bytes, String>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.site))
            .header("content-type", "application/x-www-form-urlencoded");
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = client.request(request).await.unwrap();
        response.map(|body| body.map_err(|error| error.to_string()).boxed())
    }

    fn take(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Events {
    /// The next piece of it; none: the console ended it.
    pub(super) async fn next(&mut self) -> Option<String> {
        let piece = tokio::time::timeout(WAIT_MAX, self.0.frame()).await.unwrap()?;
        let bytes = piece.unwrap().into_data().unwrap();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Answer {
    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!(r#"name="{name}" value=""#);
        let (_, rest) = self
            .text
            .split_once(&start)
            .unwrap_or_else(|| panic!("no field `{name}` in {}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The token of a link that signs this person in.
pub(super) async fn link(world: &World, role: Role, name: &str) -> String {
    let person = world.person(role, name, 0).await.unwrap();
    let answer = person.fleet().sign_in(SignInRequest {}).await.unwrap();
    let url = answer.into_inner().url;
    let (_, token) = url.split_once("/sign-in?link=").unwrap();
    token.to_owned()
}
