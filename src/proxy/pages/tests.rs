//! The pages in every language, and an operator's files in their place: right ones, and wrong ones with
//! their faults.

use super::*;
use crate::decision::reply::LoginPage;
use crate::decision::reply::Notice;
use crate::decision::reply::Passwords;
use crate::decision::reply::SignedOut;
use crate::model::end::Confirmed;
use crate::model::name::ClusterId;
use crate::proxy::pages::view::Plain;

fn files(files: &[(&str, &str)]) -> Files {
    let files = files.iter();
    files
        .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
        .collect()
}

fn faults(given: &[(&str, &str)]) -> Vec<String> {
    let (_, faults) = Pages::with(&files(given), "en");
    faults.iter().map(ToString::to_string).collect()
}

fn login(notice: Notice) -> LoginPage {
    LoginPage {
        request: "r".to_owned(),
        form: "f".to_owned(),
        application: Some("app.test".to_owned()),
        notice,
        passwords: Passwords::Taken,
        providers: Vec::new(),
    }
}

#[test]
fn portways_own_pages_have_no_fault_in_any_language() {
    let (pages, faults) = Pages::with(&Files::new(), "en");
    assert_eq!(faults, Vec::new());
    for index in 0..pages.catalogues.len() {
        for view in sample::views(pages.reader(index)) {
            let html = pages.reader(index).render(view, "n").unwrap();
            // Every word comes from the catalogue, and is filled in.
            assert!(!html.contains('{') || html.contains("<script"), "{html}");
            assert!(html.starts_with("<!doctype html>"), "{html}");
        }
    }
}

#[test]
fn a_page_is_in_the_readers_language_and_direction() {
    let pages = Pages::built_in();
    for (accept, words) in [
        (
            "de-CH,de;q=0.9",
            [
                "lang=\"de\" dir=\"ltr\"",
                "<label for=\"password\">Passwort",
            ],
        ),
        (
            "fr",
            [
                "lang=\"fr\" dir=\"ltr\"",
                "<label for=\"password\">Mot de passe",
            ],
        ),
        (
            "ar-EG,en;q=0.1",
            [
                "lang=\"ar\" dir=\"rtl\"",
                "<label for=\"password\">كلمة المرور",
            ],
        ),
        (
            "es",
            [
                "lang=\"en\" dir=\"ltr\"",
                "<label for=\"password\">Password",
            ],
        ),
    ] {
        let reader = pages.for_reader(Some(accept));
        let html = reader.show(View::login(reader, None, &login(Notice::None)), "n");
        for word in words {
            assert!(html.contains(word), "{accept}: {word} in {html}");
        }
    }
}

#[test]
fn whatever_a_page_shows_is_text_and_never_markup() {
    let pages = Pages::built_in();
    let reader = pages.in_english();
    let page = Plain {
        heading: Message::of("signed_in"),
        text: Message::of("signed_in_as").with("user", "<script>alert(1)</script>&\"'".to_owned()),
        reference: None,
        button: None,
        links: vec![(Message::of("continue"), "https://a.test/?a=1&b=\"><script>")],
    };
    let html = reader.show(View::plain(reader, &page), "n");
    assert!(!html.contains("<script>"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
}

fn signed_out(confirmed: Confirmed, others: &[(&str, Confirmed)], to: Option<&str>) -> String {
    let pages = Pages::built_in();
    let others = others.iter();
    let page = SignedOut {
        confirmed,
        data_centres: others
            .map(|(name, said)| (ClusterId::parse(name).unwrap(), *said))
            .collect(),
        return_to: to.map(str::to_owned),
    };
    let reader = pages.in_english();
    reader.show(View::signed_out(reader, &page), "n")
}

#[test]
fn with_one_data_centre_the_page_speaks_of_none() {
    let page = signed_out(Confirmed::Durable, &[], None);
    assert!(page.contains("<h1>You are signed out</h1>"));
    assert!(!page.contains("data centre") && !page.contains("<ul") && !page.contains("<a "));
}

#[test]
fn the_page_says_in_words_who_has_confirmed_mdc_logout_3() {
    let others = [
        ("north", Confirmed::Durable),
        ("south", Confirmed::Outstanding),
    ];
    let page = signed_out(
        Confirmed::Durable,
        &others,
        Some("https://app.test/?a=1&b=\"2"),
    );
    assert!(page.contains("<li>north: confirmed</li>"), "{page}");
    assert!(page.contains("<li>south: not confirmed yet</li>"), "{page}");
    assert!(page.contains("You are signed out here"), "{page}");
    assert!(
        page.contains("not every data centre has confirmed it yet"),
        "{page}"
    );
    let link = page.split("<a href=\"").nth(1).unwrap();
    let address = link.split('"').next().unwrap();
    assert!(
        address.contains("app.test") && address.contains("a=1&amp;b="),
        "{address}"
    );
}

#[test]
fn an_end_that_is_not_written_down_is_told_s_15() {
    for others in [&[][..], &[("south", Confirmed::Outstanding)]] {
        let page = signed_out(Confirmed::Outstanding, others, None);
        assert!(page.contains("could not be written down yet"));
    }
}

#[test]
fn an_operators_files_take_the_place_of_portways() {
    let given = files(&[
        (
            "base.html",
            "<html lang=\"{{ lang }}\"><title>{{ heading }}</title><img src=\"/.portway/static/logo.svg\">\
             {% block head %}{% endblock %}{% block main %}{% endblock %}</html>",
        ),
        ("messages/en.txt", "sign_in = Log in to ACME\n"),
        ("messages/es.txt", "sign_in = Entrar\n"),
        ("style.css", "body { color: red }"),
        (
            "static/logo.svg",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        ),
    ]);
    let (pages, faults) = Pages::with(&given, "es");
    // Spanish says most things in English.
    assert!(
        faults.iter().all(|fault| fault.gravity == Gravity::Warning),
        "{faults:?}"
    );
    assert!(
        faults[0]
            .to_string()
            .starts_with("messages/es.txt: the key `"),
        "{}",
        faults[0]
    );
    let shown = |accept| {
        let reader = pages.for_reader(accept);
        reader.show(View::login(reader, None, &login(Notice::None)), "n")
    };
    assert!(shown(Some("en")).contains("<h1>Log in to ACME</h1>"));
    assert!(shown(None).contains("lang=\"es\"") && shown(None).contains("Entrar"));
    assert!(shown(None).contains("logo.svg"));
    assert_eq!(&pages.style()[..], b"body { color: red }");
    assert_eq!(
        pages.asset("logo.svg").unwrap().content_type,
        "image/svg+xml"
    );
    assert!(pages.asset("../gateway.yaml").is_none());
}

#[test]
fn every_fault_of_an_operators_files_is_told_with_its_file_and_line() {
    let found = faults(&[
        ("login.htm", "x"),
        ("messages/en.txt", "sing_in = x\n"),
        ("messages/de.txt", "\nnotice_wait = Warten!\n"),
        ("message.html", "<p>\n{% if %}</p>"),
        ("static/tool.js", "alert(1)"),
    ]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found[0].starts_with("login.htm: no page is made of this file"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("message.html:2: syntax error"),
        "{found:?}"
    );
    assert_eq!(
        found[2],
        "messages/de.txt:2: the text of `notice_wait` has to have {time}"
    );
    assert_eq!(found[3], "messages/en.txt:1: unknown key `sing_in`");
    assert!(
        found[4].starts_with("static/tool.js: files of this kind"),
        "{found:?}"
    );
}

#[test]
fn templates_are_tried_with_everything_that_they_may_show() {
    let page = |inside: &str| {
        let text =
            format!("{{% extends \"base.html\" %}}{{% block main %}}{inside}{{% endblock %}}");
        faults(&[("message.html", &text)])
    };
    assert_eq!(page("{{ heading }}{{ text }}"), Vec::<String>::new());
    let found = page("\n{{ headding }}");
    assert!(
        found[0].starts_with("message.html:2: undefined"),
        "{found:?}"
    );
    let found =
        page("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}");
    assert!(
        found[0].starts_with("message.html"),
        "an endless page: {found:?}"
    );
    for script in [
        "<script>x()</script>",
        "<SCRIPT src=\"/x.js\"></SCRIPT>",
        "<a href=\"javascript:x()\">",
        "<p onclick=\"x()\">",
    ] {
        let found = page(script);
        assert!(found[0].contains("a script needs"), "{script}: {found:?}");
    }
    assert_eq!(
        page("<script nonce=\"{{ nonce }}\">x()</script>"),
        Vec::<String>::new()
    );
    let found = faults(&[("login.html", "<form method=post></form>")]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found[0].contains("the page login.html has no"), "{found:?}");
    let found = faults(&[("login.html", "{% include \"/etc/passwd\" %}")]);
    assert!(found[0].contains("template not found"), "{found:?}");
}
