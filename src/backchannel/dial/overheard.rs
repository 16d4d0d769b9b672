//! A TLS stream whose last words are remembered: the HTTP layer above forgets why a stream failed, and the
//! operator has to know that it was the certificate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// A stream and what TLS said when it failed.
pub(super) struct Overheard<S> {
    stream: S,
    heard: Arc<Mutex<Option<rustls::Error>>>,
}

impl<S> Overheard<S> {
    /// Listens in on a stream.
    pub(super) fn new(stream: S) -> (Self, Arc<Mutex<Option<rustls::Error>>>) {
        let heard = Arc::default();
        let kept = Arc::clone(&heard);
        (Self { stream, heard }, kept)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &read {
            let said: Option<&rustls::Error> =
                error.get_ref().and_then(|inner| inner.downcast_ref());
            *self.heard.lock() = said.cloned();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
