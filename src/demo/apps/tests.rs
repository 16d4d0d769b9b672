//! The applications without a gateway before them.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::*;

#[tokio::test]
async fn the_echo_shows_what_it_received_and_escapes_it() {
    let apps = started();
    let page = ask(
        &apps,
        "echo-1",
        "GET /a?b=c HTTP/1.1\r\nRemote-User: <b>\r\n",
    )
    .await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(
        page.contains("&lt;b&gt;") && !page.contains("<b>"),
        "{page}"
    );
    let json = ask(
        &apps,
        "echo-3",
        "GET /x HTTP/1.1\r\nAccept: application/json\r\nX-Odd: 1\r\n",
    )
    .await;
    let body: serde_json::Value =
        serde_json::from_str(json.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["instance"], "echo-3");
    assert_eq!(body["tier"], "secondary");
    assert_eq!(body["target"], "/x");
    assert!(
        body["headers"]
            .as_array()
            .unwrap()
            .contains(&serde_json::json!(["x-odd", "1"]))
    );
}

#[tokio::test]
async fn an_application_stops_as_if_it_had_crashed_and_starts_again() {
    let apps = started();
    let address = apps
        .instances()
        .iter()
        .find(|one| one.name == "clock-2")
        .unwrap()
        .port
        .address;
    let mut open = TcpStream::connect(address).await.unwrap();
    let stop = "POST /admin/stop HTTP/1.1\r\nContent-Length: 16\r\n\r\ninstance=clock-2";
    assert!(
        ask(&apps, "admin-1", stop)
            .await
            .starts_with("HTTP/1.1 303")
    );
    assert!(matches!(open.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
    apps.start("clock-2").unwrap();
    assert!(
        ask(&apps, "clock-2", "GET /clock HTTP/1.1\r\n")
            .await
            .contains("WebSocket")
    );
    assert!(apps.start("nothing").is_err());
}

#[tokio::test]
async fn the_clock_agrees_to_a_websocket_and_ticks() {
    let apps = started();
    let address = apps
        .instances()
        .iter()
        .find(|one| one.name == "clock-1")
        .unwrap()
        .port
        .address;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/clock/ws"), stream)
            .await
            .unwrap();
    let message = futures_util::StreamExt::next(&mut socket)
        .await
        .unwrap()
        .unwrap();
    message
        .into_text()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
}

fn started() -> Arc<Apps> {
    let apps = Arc::new(
        Apps::bind(
            Site {
                https: 8443,
                http: 8080,
            },
            1,
        )
        .unwrap(),
    );
    apps.start_all().unwrap();
    apps
}

async fn ask(apps: &Apps, name: &str, request: &str) -> String {
    let address = apps
        .instances()
        .iter()
        .find(|one| one.name == name)
        .unwrap()
        .port
        .address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = request
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| (request.trim_end(), ""));
    let whole = format!("{head}\r\nHost: app.test\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(whole.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
