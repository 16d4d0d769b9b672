//! Sends a form again that was posted before its user had signed in: once, to the browser that posted it, as a
//! page of the same host (D-22).
//!
//! Which posts are kept is the proxy's to say, where they are kept the engine's.

use std::net::IpAddr;

use crate::crypto::claims::ReplayRequest;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::endpoints;
use crate::decision::form::FormType;
use crate::decision::kept_posts::Kept;
use crate::decision::kept_posts::KeptPost;
use crate::decision::reply::Replay;
use crate::decision::reply::Reply;
use crate::decision::reply::ReplyKind;
use crate::gate::Caller;
use crate::gate::Gate;
use crate::gate::challenge::Challenged;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::ports::entropy::id_bytes;

/// A posted form that may be kept.
#[derive(Debug)]
pub struct Post {
    /// How its body is to be read.
    pub form: FormType,
    /// Its body.
    pub body: Secret,
    /// Where it comes from.
    pub address: IpAddr,
}

impl Gate {
    /// Where a sign-in leads back to: the page asked for, or the one that sends the post again.
    pub(super) fn target_after(
        &self,
        challenged: &Challenged<'_>,
        target: &str,
        nonce: &Nonce,
    ) -> String {
        let Some(post) = challenged.post else {
            return target.to_owned();
        };
        let id = PostId::from_bytes(id_bytes(self.entropy.as_ref()));
        let kept = KeptPost {
            host: challenged.host.clone(),
            nonce: *nonce,
            form: post.form.clone(),
            body: post.body.clone(),
        };
        match self.engine.keep_post(id, kept, post.address) {
            Kept::No => target.to_owned(),
            Kept::Yes => {
                let request = ReplayRequest {
                    post: id,
                    target: target.to_owned(),
                };
                let sealed = self.seal(&replay_binding(challenged.host), &request);
                format!("{}?{}={sealed}", endpoints::REPLAY, endpoints::POST)
            }
        }
    }

    /// Answers a visit of the page that sends a post again. One that is gone, or another browser's, leads to
    /// where it was made to.
    #[must_use]
    pub fn replay(&self, caller: &Caller<'_>, sealed: Option<&str>) -> Reply {
        let binding = replay_binding(caller.host);
        let request =
            sealed.and_then(|sealed| self.keys.open_claims::<ReplayRequest>(&binding, sealed));
        let Some(request) = request else {
            return Reply::new(ReplyKind::Redirect("/".to_owned()));
        };
        let nonces: Vec<Nonce> = self.names.nonces(caller.cookies).collect();
        let post = self.engine.take_post(request.post, &nonces, caller.host);
        let fields = post.and_then(|post| {
            let fields = post.form.fields(post.body.expose())?;
            Some((post.form.encoding, fields))
        });
        Reply::new(match fields {
            None => ReplyKind::Redirect(request.target),
            Some((encoding, fields)) => ReplyKind::Replay(Replay {
                application: caller.host.to_string(),
                target: request.target,
                encoding,
                fields,
            }),
        })
    }
}

fn replay_binding(host: &HostName) -> Binding<'_> {
    Binding {
        purpose: Purpose::Replay,
        name: endpoints::POST,
        scope: host.as_str(),
    }
}
