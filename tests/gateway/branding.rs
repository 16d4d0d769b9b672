//! Pages in the reader's language, and pages of the operator's.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::yaml;

async fn page_in(gateway: &Gateway, language: &str) -> String {
    let request = Request::get("https://login.test/")
        .header("accept", "text/html")
        .header("accept-language", language);
    let page = Browser::new(gateway).send(request).await.expect(200);
    page.text()
}

#[tokio::test]
async fn the_login_page_speaks_the_readers_language() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]).replace(", title: Sign in", "");
    let gateway = Gateway::start(&config).await;
    for (asked, lang, dir, word) in [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "ltr", "Anmelden"),
        ("fr-FR", "fr", "ltr", "Se connecter"),
        ("ar", "ar", "rtl", "تسجيل الدخول"),
        ("es", "en", "ltr", "Sign in"),
    ] {
        let page = page_in(&gateway, asked).await;
        assert!(
            page.contains(&format!("<html lang=\"{lang}\" dir=\"{dir}\">")),
            "{page}"
        );
        assert!(page.contains(&format!("<h1>{word}</h1>")), "{page}");
    }
    // Refusals too; programs get English.
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let refused = |accept: &str| {
        Request::get("https://app.test/admin")
            .header("accept", accept)
            .header("accept-language", "de")
    };
    let page = browser.send(refused("text/html")).await.expect(403);
    assert!(
        page.text().contains("<h1>Zugriff verweigert</h1>"),
        "{}",
        page.text()
    );
    let json = browser.send(refused("application/json")).await.expect(403);
    assert!(json.text().contains("Access denied"), "{}", json.text());
}

#[tokio::test]
async fn an_operators_pages_take_the_place_of_portways_with_their_files() {
    let application = Application::start().await;
    let setup = Setup::new();
    for folder in ["pages/messages", "pages/static"] {
        std::fs::create_dir_all(setup.path(folder)).unwrap();
    }
    let base = "<!doctype html><html lang=\"{{ lang }}\"><title>{{ heading }}</title>\
                <img alt=\"ACME\" src=\"/.portway/static/logo.svg\">{% block head %}{% endblock %}\
                {% block main %}{% endblock %}";
    let setup = setup
        .file("pages/base.html", base)
        .file("pages/messages/en.txt", "password = Secret word\n")
        .file(
            "pages/static/logo.svg",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        )
        .file("pages/style.css", "body { color: rebeccapurple }");
    let config = yaml::applications(&[application.address()]);
    let gateway = setup
        .start(&format!("{config}branding: {{ templates_dir: pages }}\n"))
        .await;
    let page = page_in(&gateway, "en").await;
    assert!(
        page.contains("alt=\"ACME\"") && page.contains(">Secret word<"),
        "{page}"
    );
    let mut browser = Browser::new(&gateway);
    for host in ["login.test", "app.test"] {
        let address = format!("https://{host}/.portway/static/logo.svg");
        let logo = browser.get(&address).await.expect(200);
        assert_eq!(logo.header("content-type"), "image/svg+xml");
        assert!(logo.header("content-security-policy").contains("sandbox"));
        assert_eq!(logo.header("x-content-type-options"), "nosniff");
    }
    let style = browser
        .get("https://login.test/.portway/style.css")
        .await
        .expect(200);
    assert!(style.text().contains("rebeccapurple"));
    for name in ["nothing.svg", "../base.html", "%2e%2e/base.html", ""] {
        let address = format!("https://login.test/.portway/static/{name}");
        let answer = browser.get(&address).await;
        assert!(
            [400, 404].contains(&answer.status),
            "{name}: {}",
            answer.status
        );
    }
}
