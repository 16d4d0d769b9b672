//! What a gateway tells those who run it.

use crate::support::Answer;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::client;

impl Gateway {
    /// Asks the ops listener.
    pub(crate) async fn ops(&self, path: &str) -> Answer {
        let request = Request::get(&format!("http://ops.test{path}"));
        self.ask_ops(&request).await
    }

    /// Asks the ops listener something of the test's own.
    pub(crate) async fn ask_ops(&self, request: &Request) -> Answer {
        let answer = client::send(request, self.address("ops"), Protocol::H1).await;
        answer.unwrap_or_else(|error| panic!("the ops listener: {error}"))
    }

    /// The value of a metric, with its labels as they are written; `None` while it has none.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.ops("/metrics").await.expect(200).text();
        let line = page.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().parse().unwrap())
    }
}
