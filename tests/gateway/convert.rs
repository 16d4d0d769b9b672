//! nginx's configurations, converted by the program and served.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::nginx::Speaks;
use crate::support::parts;

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures/nginx").join(name)
}

fn convert(file: &Path, output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portway"));
    command
        .args(["convert", "nginx"])
        .arg(file)
        .arg("-o")
        .arg(output);
    command.output().unwrap()
}

/// Converts a fixture of the source page, with the certificate of the test in the place of the page's, and starts
/// with what comes out.
async fn converted(setup: Setup, name: &str, code: i32, edit: fn(String) -> String) -> Gateway {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    let keys = [
        "/Users/geeth/Documents/Product-Testing/clustering/emm/conf/keys/",
        "/etc/nginx/certs/",
    ];
    let text = keys.iter().fold(text, |text, keys| {
        let text = text.replace(&format!("{keys}server.crt"), "cert.pem");
        let text = text.replace(&format!("{keys}server.key"), "key.pem");
        text.replace(&format!("{keys}ca.crt"), "ca.pem")
    });
    let setup = setup.file("nginx.conf", &text);
    let output = convert(&setup.path("nginx.conf"), &setup.path("made.yaml"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(
        said.contains("nginx.conf:3 has xxx.xxx.xxx.xxx:9763"),
        "{said}"
    );
    let yaml = std::fs::read_to_string(setup.path("made.yaml")).unwrap();
    let yaml = yaml
        .replace("0.0.0.0:80", "127.0.0.1:0")
        .replace("0.0.0.0:443", "127.0.0.1:0");
    setup.start(&edit(yaml)).await
}

/// The variables for the addresses of the page, and what is spoken there.
fn nodes() -> impl Iterator<Item = (String, Speaks)> {
    let pools = ["WORK", "MGT", "KEYMGT"].into_iter().flat_map(|name| {
        let http = (format!("NODE_{name}"), Speaks::Http);
        [http, (format!("NODE_SSL_{name}"), Speaks::Https)]
    });
    pools.flat_map(|(before, speaks)| {
        [1, 2].map(|member| (format!("{before}_EMM_WSO2_COM_{member}"), speaks))
    })
}

#[tokio::test]
async fn the_source_page_converts_and_serves_w_01_w_02_w_04_w_38() {
    let mut upstreams = Vec::new();
    let mut setup = Setup::new();
    for (variable, speaks) in nodes() {
        let Some(nginx) = Nginx::speaking(&variable, speaks).await else {
            return;
        };
        setup = setup.variable(&variable, &nginx.address().to_string());
        upstreams.push(nginx);
    }
    let gateway = converted(setup, "wso2-emm.conf", 0, |yaml| yaml).await;
    let mut anybody = Browser::new(&gateway);
    for name in ["work", "mgt", "keymgt"] {
        for (scheme, before) in [("http", "NODE_"), ("https", "NODE_SSL_")] {
            let url = format!("{scheme}://{name}.emm.wso2.com/emm?x=1");
            let answer = anybody.get(&url).await.expect(200);
            let upstream = answer.told("upstream");
            let expected = format!("{before}{}_EMM_WSO2_COM_", name.to_uppercase());
            assert!(upstream.starts_with(&expected), "{url}: {upstream}");
            assert_eq!(answer.told("uri"), "/emm?x=1");
        }
    }
}

/// Without a verified certificate nobody says who its owner is: least of all a client (W-25).
#[tokio::test]
async fn the_page_s_block_for_mutual_tls_serves_and_lets_no_forged_subject_through_w_25_w_38() {
    let recorder = Recorder::start().await;
    let address = recorder.address().to_string();
    let setup = Setup::new()
        .variable("NODE_WORK_EMM_WSO2_COM_1", &address)
        .variable("NODE_WORK_EMM_WSO2_COM_2", &address)
        .variable("NODE_SSL_WORK_EMM_WSO2_COM_1", &address)
        .variable("NODE_SSL_WORK_EMM_WSO2_COM_2", &address);
    // What upstreams see is recorded in plain.
    let plain =
        |yaml: String| yaml.replace("    scheme: https\n    tls:\n      verify: false\n", "");
    let gateway = converted(setup, "wso2-emm-mutual.conf", 0, plain).await;
    let mut anybody = Browser::new(&gateway);
    for url in [
        "http://work.emm.wso2.com/x",
        "https://ssl.work.emm.wso2.com/x",
    ] {
        let request = Request::get(url).header("X-Forwarded-Proto", "forged");
        let request = request.header("PROXY-MUTUAL-AUTH-HEADER", "CN=forged");
        let request = request.header("Proxy_Mutual_Auth_Header", "CN=forged");
        recorder.clear();
        anybody.send(request).await.expect(200);
        if url.starts_with("https:") {
            let seen = recorder.text();
            assert!(!seen.contains("CN=forged"), "{seen}");
        }
    }
    let seen = recorder.text().to_ascii_lowercase();
    for told in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: ssl.work.emm.wso2.com",
        "x-forwarded-server: ssl.work",
    ] {
        assert!(seen.contains(told), "{told}: {seen}");
    }
    for untold in [
        "\r\nforwarded:",
        "x-real-ip",
        "x-request-id",
        "traceparent",
        "x-forwarded-proto",
        "x-forwarded-port",
    ] {
        assert!(!seen.contains(untold), "{untold}: {seen}");
    }
}

#[test]
fn the_fixtures_are_what_nginx_reads() {
    let Some(nginx) = parts::find("nginx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let issued = crate::support::certificates::issue(&["app.test"]);
    for (name, text) in [("c.pem", &issued.certificate), ("k.pem", &issued.key)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::create_dir(folder.path().join("conf.d")).unwrap();
    for name in [
        "conf.d/app.conf",
        "conf.d/closed.conf",
        "front.conf",
        "fragments.conf",
        "wso2-emm.conf",
        "wso2-emm-mutual.conf",
    ] {
        let text = readable(
            &std::fs::read_to_string(fixture(name)).unwrap(),
            folder.path(),
        );
        let whole = if text.contains("http {") || name.starts_with("conf.d") {
            text
        } else {
            format!("events {{}}\nhttp {{\n{text}\n}}\n")
        };
        std::fs::write(folder.path().join(name), whole).unwrap();
        if name.starts_with("conf.d") {
            continue;
        }
        let mut command = Command::new(&nginx);
        command
            .args(["-t", "-e", "stderr", "-p"])
            .arg(folder.path());
        let output = command
            .arg("-c")
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}

/// A fixture with certificates and names that are here, and without the spaces of a page.
fn readable(text: &str, folder: &Path) -> String {
    let (chain, key) = (folder.join("c.pem"), folder.join("k.pem"));
    let line = |line: &str| {
        let bare = line.trim().replace('\u{a0}', " ");
        let (name, value) = bare
            .split_once(char::is_whitespace)
            .unwrap_or((bare.as_str(), ""));
        match name {
            "ssl_certificate" | "ssl_client_certificate" | "proxy_ssl_trusted_certificate" => {
                format!("{name} {};", chain.display())
            }
            "ssl_certificate_key" => format!("{name} {};", key.display()),
            "access_log" if value.starts_with('/') => "access_log off;".to_owned(),
            "pid" => format!("pid {};", folder.join("pid").display()),
            "user" => String::new(),
            "include" if value == "mime.types;" => String::new(),
            _ => bare
                .replace("xxx.xxx.xxx.xxx", "127.0.0.1")
                .replace("app-1.internal", "127.0.0.1")
                .replace("app-2.internal", "127.0.0.2"),
        }
    };
    let text: Vec<String> = text.lines().map(line).collect();
    text.join("\n").replace("far.example.com", "localhost")
}
