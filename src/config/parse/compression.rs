//! `compression` of virtual hosts and routes.

use std::sync::Arc;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::decision::compression::Coding;
use crate::decision::compression::Compression;
use crate::decision::compression::MediaPattern;

impl Reading<'_> {
    /// How a virtual host or a route compresses answers; where it does not say so, what holds around it.
    pub(super) fn compression(
        &mut self,
        section: &Section<'_>,
        around: Option<&Arc<Compression>>,
    ) -> Option<Arc<Compression>> {
        let around = around.cloned();
        self.or(section, "compression", around, Self::said_compression)
    }

    /// The outer `None` is a fault, the inner one no compression.
    fn said_compression(&mut self, found: &Found<'_>) -> Option<Option<Arc<Compression>>> {
        if !found.is_map() {
            let switch = self.word(found, SWITCH)?;
            return Some((switch == Switch::On).then(|| Arc::new(plain())));
        }
        let section = self.section(found, KEYS)?;
        let Compression {
            codings,
            level,
            bytes_min,
            types,
        } = plain();
        Some(Some(Arc::new(Compression {
            codings: self.or(&section, "algorithms", codings, Self::codings),
            level: self.or(&section, "level", level, |this, found| {
                this.number(found, 1_u8..=9)
            }),
            bytes_min: self.or(&section, "min_size", bytes_min, Self::size),
            types: self.or(&section, "types", types, |this, found| {
                let items = this.some_list(found)?;
                this.each(&items, |this, item| {
                    this.shaped(item, A_TYPE, MediaPattern::parse)
                })
            }),
        })))
    }

    /// Each once: a second time it would mean nothing.
    fn codings(&mut self, found: &Found<'_>) -> Option<Vec<Coding>> {
        let items = self.some_list(found)?;
        let codings = self.each(&items, |this, item| this.word(item, Coding::WORDS))?;
        for (at, (item, coding)) in items.iter().zip(&codings).enumerate() {
            let mut earlier = items.iter().zip(&codings).take(at);
            if let Some((first, _)) = earlier.find(|(_, earlier)| *earlier == coding) {
                let problem = Problem::Duplicate {
                    what: "algorithm",
                    text: coding.as_str().to_owned(),
                    first: first.node.at.line,
                };
                self.fault(item, problem);
            }
        }
        Some(codings)
    }
}

/// What `on` stands for.
fn plain() -> Compression {
    let types = TYPES_DEFAULT.trim_matches(['[', ']']).split(", ");
    Compression {
        codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        level: 4,
        bytes_min: 1024,
        types: types.filter_map(MediaPattern::parse).collect(),
    }
}

pub(super) const KEYS: &[&str] = &["algorithms", "level", "min_size", "types"];
/// What is text, whatever it is called, and what packs as well.
pub(super) const TYPES_DEFAULT: &str = "[text/*, application/javascript, application/json, application/*+json, \
    application/xml, application/*+xml, application/wasm, image/svg+xml]";

/// Compression in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Off,
    On,
}

const SWITCH: &[(&str, Switch)] = &[("off", Switch::Off), ("on", Switch::On)];
const A_TYPE: (&str, &str) = ("a media type, with one `*` at most", "text/*");
