//! What pages are made of beside their text: a style sheet, an icon and three scripts, under names that change with what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use checkrein_shared::action::Sha256;
use tonic::Status;

use super::page::Trouble;

const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Whoever has it need not ask for it again: another content has another name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// So many characters of the digest are in a name.
const DIGEST_CHARS: usize = 16;

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", CSS, include_bytes!("../../assets/console.css")));
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "checkrein",
        "svg",
        SVG,
        include_bytes!("../../assets/checkrein.svg"),
    )
});
static SCRIPTS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let script = |name, bytes| Asset::new(name, "js", JAVASCRIPT, bytes);
    [
        script("htmx", include_bytes!("../../assets/vendor/htmx-2.0.11.min.js")),
        script(
            "htmx-ext-sse",
            include_bytes!("../../assets/vendor/htmx-ext-sse-2.2.4.js"),
        ),
        script("console", include_bytes!("../../assets/console.js")),
    ]
});

/// A file that is served as it stands here.
struct Asset {
    path: String,
    kind: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Sha256::of(bytes).to_string();
        let digest = digest.get(..DIGEST_CHARS).unwrap_or_default();
        Self {
            path: format!("/assets/{name}.{digest}.{extension}"),
            kind,
            bytes,
        }
    }
}

/// The path of the style sheet.
pub(super) fn style() -> &'static str {
    &STYLE.path
}

/// The path of the icon.
pub(super) fn icon() -> &'static str {
    &ICON.path
}

/// The paths of the scripts, in the order in which they are to be run.
pub(super) fn scripts() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().map(|asset| asset.path.as_str())
}

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Trouble> {
    let mut all = SCRIPTS.iter().chain([&*STYLE, &*ICON]);
    let found = all.find(|asset| asset.path.strip_prefix("/assets/") == Some(&name));
    let asset = std::future::ready(found.ok_or_else(|| Status::not_found("there is no such file"))).await?;
    Ok((
        [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, FOR_EVER)],
        asset.bytes,
    )
        .into_response())
}
