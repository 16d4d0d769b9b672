//! Everybody that is served while a gateway changes: clients that keep connections, one that uploads slowly, a
//! WebSocket, users who sign in and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Url;
use crate::support::client;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;

/// Those that are served.
pub(crate) struct Life {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    streams: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    over_h1: AtomicUsize,
    over_h2: AtomicUsize,
    users: AtomicUsize,
    echoes: AtomicUsize,
    uploaded: AtomicUsize,
    connections: AtomicUsize,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn counts(&self) -> [usize; 5] {
        let all = [
            &self.over_h1,
            &self.over_h2,
            &self.users,
            &self.echoes,
            &self.uploaded,
        ];
        all.map(|count| count.load(Ordering::Relaxed))
    }
}

impl Life {
    /// Begins with a gateway that protects `app.test`.
    pub(crate) async fn begin(gateway: &Gateway) -> Self {
        let https = gateway.address("https");
        let shared = Arc::new(Shared::default());
        let alice = Browser::signed_in(gateway, "alice").await;
        let cookies = alice.cookies_for("https://app.test/");
        let mut clients = Vec::new();
        for _ in 0..2 {
            let work = over_h1(https, cookies.clone(), Arc::clone(&shared));
            clients.push(tokio::spawn(work));
            let work = over_h2(https, cookies.clone(), Arc::clone(&shared));
            clients.push(tokio::spawn(work));
        }
        let user = Browser::new(gateway);
        clients.push(tokio::spawn(in_and_out(user, Arc::clone(&shared))));
        let socket = websocket::open(&alice, "https://app.test/ws", &[]).await;
        let socket = talk(socket.unwrap(), Arc::clone(&shared));
        let upload = upload(https, cookies, Arc::clone(&shared));
        let streams = vec![tokio::spawn(socket), tokio::spawn(upload)];
        let life = Self {
            shared,
            clients,
            streams,
        };
        life.goes_on().await;
        life
    }

    /// Waits until everybody has got on.
    pub(crate) async fn goes_on(&self) {
        let before = self.shared.counts();
        until("everybody is served", PATIENCE, || async {
            let ended = self.clients.iter().chain(&self.streams);
            if ended.clone().any(JoinHandle::is_finished) {
                panic!("somebody was not served");
            }
            let now = self.shared.counts();
            let got_on = now.iter().zip(before).all(|(now, before)| *now > before);
            got_on.then_some(())
        })
        .await;
    }

    /// Has everybody come to an end, and tells how it went.
    pub(crate) async fn end(self) -> String {
        self.shared.stop.store(true, Ordering::Relaxed);
        for work in self.clients.into_iter().chain(self.streams) {
            within("somebody comes to an end", PATIENCE, work)
                .await
                .unwrap();
        }
        let [over_h1, over_h2, users, echoes, uploaded] = self.shared.counts();
        let connections = self.shared.connections.load(Ordering::Relaxed);
        format!(
            "{over_h1} requests by HTTP/1.1, {over_h2} by HTTP/2, over {connections} connections; {users} users in \
             and out, {echoes} echoes by one WebSocket, {uploaded} pieces of one upload; 0 failed, 0 cut"
        )
    }
}

fn request(cookies: &str) -> http::request::Builder {
    http::Request::get("https://app.test/life").header("cookie", cookies)
}

/// Asks by one connection for as long as it is kept, and by the next then.
async fn over_h1(https: SocketAddr, cookies: String, shared: Arc<Shared>) {
    let url = Url::parse("https://app.test/life");
    while shared.goes_on() {
        let stream = client::connect(&url, https, Protocol::H1).await.unwrap();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.unwrap();
        let connection = tokio::spawn(connection);
        while shared.goes_on() && sender.ready().await.is_ok() {
            let asked = http::Request::get("/life").header("host", "app.test");
            let asked = asked.header("cookie", &cookies);
            let answer = sender.send_request(asked.body(Empty::<Bytes>::new()).unwrap());
            let answer = within("an answer", PATIENCE, answer).await.unwrap();
            assert_eq!(answer.status(), 200);
            let told = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(!told.is_empty());
            shared.over_h1.fetch_add(1, Ordering::Relaxed);
            // Some requests come a while after the connection has become idle.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(sender);
        // It says itself when it is over, without an error.
        within("the end", PATIENCE, connection)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Asks by one connection until its end is announced, and by the next then.
async fn over_h2(https: SocketAddr, cookies: String, shared: Arc<Shared>) {
    while shared.goes_on() {
        let tcp = TcpStream::connect(https).await.unwrap();
        let tls = client::connect_tls(tcp, "app.test", &[b"h2"]);
        let (sender, h2) = h2::client::handshake(tls.await.unwrap()).await.unwrap();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let connection = tokio::spawn(h2);
        let mut kept = Some(sender);
        while shared.goes_on()
            && let Some(sender) = kept.take()
        {
            let Ok(mut sender) = sender.ready().await else {
                break;
            };
            let asked = request(&cookies).body(()).unwrap();
            // Its end may have been announced just now; nothing was sent then.
            let Ok((answer, _)) = sender.send_request(asked, true) else {
                break;
            };
            let answer = match within("an answer", PATIENCE, answer).await {
                // RFC 9113 §6.8: what the announcement leaves out was not looked at, and is asked again.
                Err(error) if error.is_go_away() && error.is_remote() => break,
                answer => answer.unwrap(),
            };
            assert_eq!(answer.status(), 200);
            let mut body = answer.into_body();
            while let Some(piece) = body.data().await {
                let length = piece.unwrap().len();
                body.flow_control().release_capacity(length).unwrap();
            }
            shared.over_h2.fetch_add(1, Ordering::Relaxed);
            kept = Some(sender);
        }
        drop(kept);
        within("the end", PATIENCE, connection).await.unwrap().ok();
    }
}

/// Signs in and out, again and again. Who has signed out is not served by what is left of it.
async fn in_and_out(fresh: Browser, shared: Arc<Shared>) {
    while shared.goes_on() {
        let mut browser = fresh.clone();
        browser
            .sign_in("https://app.test/", "bob")
            .await
            .expect(200);
        let mut copy = browser.clone();
        let out = browser.get("https://app.test/.portway/logout").await;
        browser.follow_all(out).await.expect(200);
        assert_eq!(copy.get("https://app.test/").await.status, 303);
        shared.users.fetch_add(1, Ordering::Relaxed);
    }
}

async fn talk(mut socket: websocket::Socket, shared: Arc<Shared>) {
    while shared.goes_on() {
        let round = shared.echoes.load(Ordering::Relaxed);
        websocket::echo(&mut socket, &format!("{round}")).await;
        shared.echoes.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket.close(None).await.unwrap();
}

/// One request with a body that comes in pieces for as long as there is life.
async fn upload(https: SocketAddr, cookies: String, shared: Arc<Shared>) {
    let url = Url::parse("https://app.test/upload");
    let mut stream = client::connect(&url, https, Protocol::H1).await.unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: app.test\r\nCookie: {cookies}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 4096];
    while shared.goes_on() {
        stream.write_all(b"1000\r\n").await.unwrap();
        stream.write_all(&piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        stream.flush().await.unwrap();
        shared.uploaded.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 15];
    let read = stream.read_exact(&mut answer);
    within("the answer", PATIENCE, read).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}
