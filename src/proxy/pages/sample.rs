//! Every page with sample values, rendered in every language: what `portway check` holds an operator's
//! templates against, and what `portway pages` shows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decision::form::Encoding;
use crate::decision::form::Field;
use crate::decision::form::FieldValue;
use crate::decision::maintenance::Maintenance;
use crate::decision::password::Weakness;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::PasswordNotice;
use crate::decision::reply::PasswordPage;
use crate::decision::reply::Passwords;
use crate::decision::reply::ProviderLink;
use crate::decision::reply::Replay;
use crate::decision::reply::SignedOut;
use crate::model::end::Confirmed;
use crate::model::name::ClusterId;
use crate::model::secret::Secret;
use crate::proxy::pages::Gravity;
use crate::proxy::pages::PageFault;
use crate::proxy::pages::PageProblem;
use crate::proxy::pages::Pages;
use crate::proxy::pages::Reader;
use crate::proxy::pages::message::Message;
use crate::proxy::pages::said;
use crate::proxy::pages::view::Plain;
use crate::proxy::pages::view::View;

/// A page with sample values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its language, which page it is, and its number among those of that page.
    pub name: String,
    /// It, as a browser gets it.
    pub html: String,
}

impl Pages {
    /// Every page with everything that it may show, in every language. One that cannot be rendered is left
    /// out: it is a fault.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let languages = self.catalogues.iter().enumerate();
        languages
            .flat_map(|(index, catalogue)| samples(self.reader(index), &catalogue.language))
            .collect()
    }
}

fn samples(reader: Reader<'_>, language: &str) -> Vec<Sample> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let sample = |view: View| {
        let page = view.template.trim_end_matches(".html");
        let count = counts.entry(page).or_default();
        *count += 1;
        let name = format!("{language}-{page}-{count}");
        let html = reader.render(view, NONCE).ok()?;
        Some(Sample { name, html })
    };
    views(reader).into_iter().filter_map(sample).collect()
}

/// Everything that is wrong with the pages, each fault once.
pub(super) fn faults(pages: &Pages) -> Vec<PageFault> {
    let mut faults: Vec<PageFault> = Vec::new();
    let readers = (0..pages.catalogues.len()).map(|index| pages.reader(index));
    let shown =
        readers.flat_map(|reader| views(reader).into_iter().map(move |view| (reader, view)));
    for fault in shown.flat_map(|(reader, view)| faults_of(reader, view)) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults
}

fn faults_of(reader: Reader<'_>, view: View) -> Vec<PageFault> {
    let page = view.template;
    let fault = |file: &str, line, problem| PageFault {
        file: file.to_owned(),
        line,
        problem,
        gravity: Gravity::Fault,
    };
    let html = match reader.render(view, NONCE) {
        Ok(html) => html,
        Err(error) => {
            let file = error.name().unwrap_or(page).to_owned();
            let problem = PageProblem::Template(said(&error));
            return vec![fault(&file, error.line(), problem)];
        }
    };
    let lacking = needs(page).iter().filter(|need| !html.contains(**need));
    let mut faults: Vec<_> = lacking
        .map(|what| fault(page, None, PageProblem::Lacks { page, what }))
        .collect();
    if has_script_without_nonce(&html) {
        faults.push(fault(page, None, PageProblem::Script));
    }
    faults
}

/// Whether a page has a script that a browser would not run under the policy that it comes with.
fn has_script_without_nonce(html: &str) -> bool {
    let folded = html.to_ascii_lowercase();
    let mut scripts = folded.split("<script").skip(1);
    let nonce = format!("nonce=\"{NONCE}\"");
    let unmarked = scripts.any(|rest| {
        let tag = rest.split('>').next().unwrap_or_default();
        !tag.contains(&nonce)
    });
    unmarked || folded.contains("javascript:") || SCRIPTED.iter().any(|on| folded.contains(on))
}

/// What a page has to have to work at all.
fn needs(page: &str) -> &'static [&'static str] {
    match page {
        "login.html" => &[
            "action=\"/.portway/sign-in\"",
            "name=\"r\" value=\"sealed-request\"",
            "name=\"form\" value=\"sealed-form\"",
            "name=\"username\"",
            "name=\"password\"",
        ],
        "password.html" => &[
            "action=\"/.portway/password\"",
            "name=\"r\" value=\"sealed-request\"",
            "name=\"form\" value=\"sealed-form\"",
            "name=\"username\"",
            "name=\"password\"",
            "name=\"new\"",
            "name=\"again\"",
        ],
        "replay.html" => &["method=\"post\"", "action=\"/order\"", "name=\"field\""],
        "onward.html" => &["https://app.example.com/onward"],
        _ => &[],
    }
}

/// Every page, with everything that it may show.
pub(super) fn views(reader: Reader<'_>) -> Vec<View> {
    let mut views = Vec::new();
    let waits = [30, 600].map(Duration::from_secs);
    for notice in [
        Notice::None,
        Notice::Again,
        Notice::Busy,
        Notice::CutOff,
        Notice::Declined,
        Notice::Refused,
        Notice::Stale,
        Notice::Wait(waits[0]),
        Notice::Wait(waits[1]),
    ] {
        let page = LoginPage {
            request: REQUEST.to_owned(),
            form: FORM.to_owned(),
            application: (notice != Notice::Busy).then(|| HOST.to_owned()),
            notice,
            passwords: Passwords::Taken,
            providers: vec![ProviderLink {
                title: "Example & Co".to_owned(),
                address: "/.portway/provider/example/leave?r=sealed-request".to_owned(),
            }],
        };
        views.push(View::login(reader, None, &page));
        views.push(View::login(
            reader,
            Some("A title of the operator's"),
            &page,
        ));
    }
    views.extend(password_views(reader, waits[0]));
    views.extend(plain_views(reader));
    views.extend(maintenance_views(reader, waits));
    views.push(View::onward(reader, "https://app.example.com/onward"));
    views.extend(signed_out_views(reader));
    views.extend(replay_views(reader));
    views
}

fn password_views(reader: Reader<'_>, wait: Duration) -> Vec<View> {
    let weak = PasswordNotice::Weak;
    let notices = [
        PasswordNotice::None,
        PasswordNotice::Busy,
        PasswordNotice::Changed,
        PasswordNotice::CutOff,
        PasswordNotice::Differ,
        PasswordNotice::Elsewhere,
        PasswordNotice::MustChange,
        PasswordNotice::Refused,
        PasswordNotice::Stale,
        PasswordNotice::Unfinished,
        PasswordNotice::Wait(wait),
        weak(Weakness::Name),
        weak(Weakness::Same),
        weak(Weakness::Short(15)),
        weak(Weakness::TooLong),
        weak(Weakness::Uniform),
    ];
    let view = |notice| {
        let is_known = notice != PasswordNotice::Stale;
        let page = PasswordPage {
            request: REQUEST.to_owned(),
            form: FORM.to_owned(),
            user: is_known.then(|| "alice".to_owned()),
            application: is_known.then(|| HOST.to_owned()),
            length_min: 15,
            notice,
        };
        View::password(reader, &page)
    };
    notices.map(view).into()
}

fn plain_views(reader: Reader<'_>) -> Vec<View> {
    let of = |heading, text| Plain {
        heading: Message::of(heading),
        text: Message::of(text),
        reference: None,
        button: None,
        links: Vec::new(),
    };
    let pages = [
        Plain {
            reference: Some(REFERENCE.to_owned()),
            links: vec![(Message::of("try_again"), "https://app.example.com/")],
            ..of("denied", "denied_text")
        },
        Plain {
            button: Some(Message::of("sign_out")),
            ..of("confirm_sign_out", "confirm_sign_out_text")
        },
        of("not_found", "not_found_text"),
    ];
    pages.iter().map(|page| View::plain(reader, page)).collect()
}

fn maintenance_views(reader: Reader<'_>, waits: [Duration; 2]) -> Vec<View> {
    let messages = [None, Some("We are back at <6 o'clock>.".to_owned())];
    let views = waits.into_iter().zip(messages).map(|(wait, message)| {
        let maintenance = Maintenance {
            retry_after: wait,
            except: Vec::new(),
            message,
        };
        View::maintenance(reader, &maintenance, REFERENCE)
    });
    views.collect()
}

fn signed_out_views(reader: Reader<'_>) -> Vec<View> {
    let centres = ["north", "south"].map(ClusterId::parse);
    let centres: Vec<_> = centres.into_iter().flatten().collect();
    let said = [Confirmed::Durable, Confirmed::Outstanding];
    let page = |confirmed, of: &[ClusterId], return_to: Option<&str>| {
        let data_centres = of.iter().cloned().zip(said).collect();
        let page = SignedOut {
            confirmed,
            data_centres,
            return_to: return_to.map(str::to_owned),
        };
        View::signed_out(reader, &page)
    };
    vec![
        page(Confirmed::Durable, &[], None),
        page(
            Confirmed::Durable,
            &centres,
            Some("https://app.example.com/"),
        ),
        page(Confirmed::Outstanding, &[], None),
    ]
}

fn replay_views(reader: Reader<'_>) -> Vec<View> {
    let text = Field {
        name: "field".to_owned(),
        value: FieldValue::Text("<one> & \"two\"".to_owned()),
    };
    let file = |name: &str, content: &[u8]| Field {
        name: "file".to_owned(),
        value: FieldValue::File {
            name: name.to_owned(),
            media_type: "text/plain".to_owned(),
            content: Secret::new(content.to_vec()),
        },
    };
    // A field for a file that nobody chose one for has no name.
    let files = vec![text.clone(), file("a.txt", b"content"), file("", b"")];
    let replay = |encoding, fields| Replay {
        application: HOST.to_owned(),
        target: "/order".to_owned(),
        encoding,
        fields,
    };
    vec![
        View::replay(reader, &replay(Encoding::UrlEncoded, vec![text.clone()])),
        View::replay(reader, &replay(Encoding::Text, vec![text])),
        View::replay(reader, &replay(Encoding::Multipart, files)),
    ]
}

const NONCE: &str = "sample-nonce";
const REQUEST: &str = "sealed-request";
const FORM: &str = "sealed-form";
const REFERENCE: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "app.example.com";
/// The attributes that hold scripts most often; none of them runs.
const SCRIPTED: &[&str] = &[
    " onclick=",
    " onload=",
    " onerror=",
    " onsubmit=",
    " onchange=",
    " oninput=",
    " onfocus=",
];
