//! A socket of the file system with a server behind it: what comes there goes to an address, and back.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// A socket that is listened at; it is let go of when dropped, and its file stays.
pub(crate) struct LocalSocket {
    path: PathBuf,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl LocalSocket {
    /// Listens there for this server.
    pub(crate) fn before(server: SocketAddr, path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&connections)));
        Self {
            path: path.to_owned(),
            connections,
            accepting,
        }
    }

    /// How it is written in a configuration.
    pub(crate) fn name(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Lets go of it and of its connections, as a crash of the server would. The file stays.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.ok();
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, server: SocketAddr, connections: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        serving.spawn(async move {
            if let Ok(mut there) = TcpStream::connect(server).await {
                there.set_nodelay(true).ok();
                copy_bidirectional(&mut stream, &mut there).await.ok();
            }
        });
    }
}
