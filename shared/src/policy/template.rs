//! The small pack `policy init` writes: it passes its check and its own cases, and teaches by its comments.

use super::source::PackSource;

/// Every file of the template.
const FILES: [(&str, &str); 6] = [
    ("checkrein.toml", include_str!("template/checkrein.toml")),
    ("catalog/mail.json", include_str!("template/catalog/mail.json")),
    ("catalog/mail.toml", include_str!("template/catalog/mail.toml")),
    ("entities.json", include_str!("template/entities.json")),
    ("rules.cedar", include_str!("template/rules.cedar")),
    ("tests/mail.yaml", include_str!("template/tests/mail.yaml")),
];

/// A pack to begin with, under this name.
pub fn template(name: &str) -> PackSource {
    let files = FILES.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    PackSource {
        name: name.to_owned(),
        files: files.into(),
    }
}

#[cfg(test)]
mod tests;
