//! `policy init`: a small pack that passes `check` and `test`, and teaches by its comments.

use std::path::Path;

use checkrein_shared::policy::template;
use serde_json::json;

use super::directory;
use crate::cli::output::{Paint, Style};
use crate::cli::{Error, Invocation, Outcome};

/// Writes the pack into a directory that is new or empty. The directory's name becomes the pack's when it is read.
pub(super) fn run(directory: &Path, trust_domain: &str, invocation: &Invocation) -> Result<Outcome, Error> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let files = template(&name, trust_domain).files;
    let contents = files.iter().map(|(path, content)| (&**path, &**content));
    directory::write(directory, contents)?;
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    let document = json!({"directory": directory, "files": paths});
    invocation.answer(&document, |paint| text(directory, &paths, paint))?;
    Ok(Outcome::Done)
}

fn text(directory: &Path, paths: &[&str], paint: Paint) -> String {
    let shown = directory.display();
    let heading = paint.apply(Style::Strong, &shown.to_string());
    let test = format!("checkrein policy test {shown}");
    let push = format!("checkrein policy push {shown} --wait");
    format!(
        "a pack is in {heading}:\n  {}\n{}",
        paths.join("\n  "),
        paint.next(&[&test, &push])
    )
}
