//! Portway's own pages: templates and texts of its own, with whatever the operator put in their place.
//!
//! Pages work without a script, may be framed by nobody, and name a request's id. What a page says is decided
//! elsewhere; here is how it looks, and in which language. Files are read by `app`.

use std::collections::BTreeMap;

use bytes::Bytes;
use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::UndefinedBehavior;
use minijinja::Value;

use crate::proxy::pages::asset::Asset;
use crate::proxy::pages::catalogue::BUILT_IN;
use crate::proxy::pages::catalogue::Catalogue;
pub use crate::proxy::pages::catalogue::CatalogueError;
use crate::proxy::pages::message::Message;
pub use crate::proxy::pages::sample::Sample;
use crate::proxy::pages::view::View;

pub(super) mod asset;
mod catalogue;
mod language;
pub(super) mod message;
pub(super) mod sample;
pub(super) mod view;

/// What is wrong with a file of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The file, from the folder on.
    pub file: String,
    /// The line, counted from 1, where there is one to blame.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: PageProblem,
    /// How bad that is.
    pub gravity: Gravity,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// The pages cannot be shown so.
    Fault,
    /// They can, and somebody may wonder.
    Warning,
}

/// What can be wrong with a file of the operator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageProblem {
    /// A catalogue says something that is not understood.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A file of a kind that is not served.
    #[error("files of this kind are not served; there are: {}", asset::KINDS)]
    Kind,
    /// A page lacks what it needs to work.
    #[error("the page {page} has no {what}")]
    Lacks {
        /// The page.
        page: &'static str,
        /// What it lacks.
        what: &'static str,
    },
    /// A script without the nonce, which no browser would run.
    #[error("a script needs `nonce=\"{{{{ nonce }}}}\"`, and no other kind of script runs")]
    Script,
    /// A template that cannot be rendered.
    #[error("{0}")]
    Template(String),
    /// A file that stands where none is read.
    #[error("no page is made of this file; there are: {0}")]
    Unknown(String),
    /// A file that is not text.
    #[error("the file is not UTF-8")]
    Utf8,
}

impl std::fmt::Display for PageFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// The pages as they are served.
#[derive(Debug)]
pub struct Pages {
    templates: Environment<'static>,
    /// English first.
    catalogues: Vec<Catalogue>,
    /// Which of them is spoken to those who ask for none.
    default: usize,
    style: Bytes,
    assets: BTreeMap<String, Asset>,
}

/// The files of the operator's folder: names with `/` between their parts, and contents.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Pages {
    /// The pages with an operator's files in place of Portway's own, and everything that is wrong with
    /// those. Where something is, Portway's own stands.
    #[must_use]
    pub fn with(files: &Files, language: &str) -> (Self, Vec<PageFault>) {
        let mut pages = Self::built_in();
        let mut faults = Vec::new();
        for (name, content) in files {
            faults.extend(pages.take(name, content));
        }
        let mut spoken = pages.catalogues.iter();
        let default = spoken.position(|known| known.language == language);
        pages.default = default.unwrap_or_default();
        if faults.iter().all(|fault| fault.gravity == Gravity::Warning) {
            faults.extend(sample::faults(&pages));
        }
        (pages, faults)
    }

    /// What pages refer to: names below `/.portway/`, and contents.
    pub fn files(&self) -> impl Iterator<Item = (String, Bytes)> {
        let asset =
            |(name, asset): (&String, &Asset)| (format!("static/{name}"), asset.content.clone());
        let style = ("style.css".to_owned(), self.style.clone());
        std::iter::once(style).chain(self.assets.iter().map(asset))
    }

    /// The pages as Portway has them.
    #[must_use]
    pub fn built_in() -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_formatter(|to, state, value| match value.as_str() {
            Some(text) if !value.is_safe() && *state.auto_escape() == AutoEscape::Html => {
                to.write_str(&escaped(text)).map_err(minijinja::Error::from)
            }
            Some(_) | None => minijinja::escape_formatter(to, state, value),
        });
        templates.set_fuel(Some(FUEL));
        for (name, source) in TEMPLATES {
            // Portway's own templates are right; a test says so.
            templates.add_template(name, source).ok();
        }
        let english = Catalogue::english();
        let others = BUILT_IN.map(|(language, file)| english.read(language, file).0);
        Self {
            templates,
            catalogues: std::iter::once(english).chain(others).collect(),
            default: 0,
            style: Bytes::from_static(STYLE.as_bytes()),
            assets: BTreeMap::new(),
        }
    }

    /// Whether a language is spoken.
    #[must_use]
    pub fn speaks(&self, language: &str) -> bool {
        let mut spoken = self.catalogues.iter();
        spoken.any(|known| known.language == language)
    }

    /// The style sheet of all pages.
    pub(super) fn style(&self) -> Bytes {
        self.style.clone()
    }

    /// Whether there are files that pages refer to.
    pub(super) fn has_assets(&self) -> bool {
        !self.assets.is_empty()
    }

    /// A file that pages refer to.
    pub(super) fn asset(&self, name: &str) -> Option<&Asset> {
        self.assets.get(name)
    }

    /// The pages for somebody who sent this `Accept-Language`.
    pub(super) fn for_reader(&self, accept: Option<&str>) -> Reader<'_> {
        let spoken = self.catalogues.iter();
        let spoken: Vec<_> = spoken
            .map(|catalogue| catalogue.language.as_str())
            .collect();
        let index = accept.and_then(|accept| language::preferred(accept, &spoken));
        self.reader(index.unwrap_or(self.default))
    }

    /// The pages in English, which programs read.
    pub(super) fn in_english(&self) -> Reader<'_> {
        self.reader(0)
    }

    fn reader(&self, index: usize) -> Reader<'_> {
        Reader {
            pages: self,
            catalogue: self.catalogues.get(index),
        }
    }

    /// Takes a file of the operator's.
    fn take(&mut self, name: &str, content: &[u8]) -> Vec<PageFault> {
        let fault = |line, problem| PageFault {
            file: name.to_owned(),
            line,
            problem,
            gravity: Gravity::Fault,
        };
        if let Some(asset) = name.strip_prefix("static/") {
            let Some(made) = Asset::new(asset, content) else {
                return vec![fault(None, PageProblem::Kind)];
            };
            self.assets.insert(asset.to_owned(), made);
            return Vec::new();
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return vec![fault(None, PageProblem::Utf8)];
        };
        if let Some(language) = catalogue_name(name) {
            return self.take_catalogue(name, &language, text);
        }
        if name == "style.css" {
            self.style = Bytes::copy_from_slice(content);
            return Vec::new();
        }
        if !TEMPLATES.iter().any(|(known, _)| *known == name) {
            let known = TEMPLATES.map(|(known, _)| known).join(", ");
            let known = format!("{known}, style.css, messages/LANGUAGE.txt, static/…");
            return vec![fault(None, PageProblem::Unknown(known))];
        }
        let added = self
            .templates
            .add_template_owned(name.to_owned(), text.to_owned());
        let said = |error: minijinja::Error| {
            let problem = PageProblem::Template(said(&error));
            fault(error.line(), problem)
        };
        added.err().map(said).into_iter().collect()
    }

    fn take_catalogue(&mut self, name: &str, language: &str, text: &str) -> Vec<PageFault> {
        let place = self
            .catalogues
            .iter()
            .position(|known| known.language == language);
        let base = place.and_then(|place| self.catalogues.get(place));
        let (read, faults) = match base {
            Some(base) => base.read(language, text),
            None => Catalogue::english().read(language, text),
        };
        let fault = |(line, problem): (usize, CatalogueError)| PageFault {
            file: name.to_owned(),
            line: Some(line),
            problem: problem.into(),
            gravity: Gravity::Fault,
        };
        let mut faults: Vec<_> = faults.into_iter().map(fault).collect();
        match place.and_then(|place| self.catalogues.get_mut(place)) {
            Some(known) => *known = read,
            None => {
                let missing = Catalogue::missing(text).into_iter();
                faults.extend(missing.map(|problem| PageFault {
                    file: name.to_owned(),
                    line: None,
                    problem: problem.into(),
                    gravity: Gravity::Warning,
                }));
                self.catalogues.push(read);
            }
        }
        faults
    }
}

/// A text as HTML, inside elements and quoted attributes. Unlike the engine's own way it leaves the slashes of
/// addresses as they are.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
    html
}

/// The language of a catalogue's file, if the name is one.
fn catalogue_name(name: &str) -> Option<String> {
    let tag = name.strip_prefix("messages/")?.strip_suffix(".txt")?;
    let is_tag = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_tag.then(|| tag.to_ascii_lowercase())
}

/// What the template engine says of an error, with what it means.
fn said(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// The pages in somebody's language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'p> {
    pages: &'p Pages,
    /// English, at the least.
    catalogue: Option<&'p Catalogue>,
}

impl Reader<'_> {
    /// A message in words.
    pub(super) fn say(&self, message: &Message) -> String {
        self.catalogue.map_or_else(
            || message.key.to_owned(),
            |catalogue| catalogue.say(message),
        )
    }

    /// A page as HTML; `nonce` lets its scripts run.
    pub(super) fn show(&self, view: View, nonce: &str) -> String {
        let name = view.template;
        self.render(view, nonce).unwrap_or_else(|error| {
            // `portway check` renders every page, so this is a template that depends on what it shows.
            tracing::error!(page = name, error = %error, "a page could not be rendered");
            String::new()
        })
    }

    fn render(&self, view: View, nonce: &str) -> Result<String, minijinja::Error> {
        let template = self.pages.templates.get_template(view.template)?;
        let mut shown = view.fields;
        if let Some(catalogue) = self.catalogue {
            shown.insert("m", catalogue.shown());
            shown.insert("lang", Value::from(catalogue.language.as_str()));
            shown.insert("dir", Value::from(catalogue.direction()));
        }
        shown.insert("nonce", Value::from(nonce));
        template.render(Value::from(shown))
    }
}

/// Portway's own style sheet.
const STYLE: &str = include_str!("style.css");
/// Portway's own templates.
const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("templates/base.html")),
    ("login.html", include_str!("templates/login.html")),
    (
        "maintenance.html",
        include_str!("templates/maintenance.html"),
    ),
    ("message.html", include_str!("templates/message.html")),
    ("onward.html", include_str!("templates/onward.html")),
    ("password.html", include_str!("templates/password.html")),
    ("replay.html", include_str!("templates/replay.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
];
/// Steps of the template engine for one page: hundreds of times what Portway's own take.
const FUEL: u64 = 1_000_000;

#[cfg(test)]
mod tests;
