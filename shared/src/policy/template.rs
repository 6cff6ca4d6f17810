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

/// Whoever the files speak of is of this trust domain, as they stand.
const WRITTEN_FOR: &str = "spiffe://checkrein.local/";

/// A pack to begin with, under this name, whose agents and approvers are of this trust domain.
pub fn template(name: &str, trust_domain: &str) -> PackSource {
    let domain = format!("spiffe://{trust_domain}/");
    let files = FILES.map(|(path, text)| (path.to_owned(), text.replace(WRITTEN_FOR, &domain).into_bytes()));
    PackSource {
        name: name.to_owned(),
        files: files.into(),
    }
}

#[cfg(test)]
mod tests;
