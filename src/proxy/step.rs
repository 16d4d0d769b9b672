//! What becomes of a request before an upstream is chosen, and carrying that out.
//!
//! Which it is comes out of `journey`.

use std::sync::Arc;

use http::Method;
use pingora::proxy::Session;

use crate::config::Flow;
use crate::decision::fixed_answer::FixedReply;
use crate::decision::maintenance::Maintenance;
use crate::decision::reply::Reply;
use crate::ports::vitals::Vitals;
use crate::proxy::answer;
use crate::proxy::answer::Voice;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::Admitted;
use crate::proxy::context::RequestContext;
use crate::proxy::error_pages;
use crate::proxy::fixed;
use crate::proxy::kept::Unkept;
use crate::proxy::refusal::Refusal;
use crate::proxy::whereabouts::Whereabouts;

/// What becomes of a request before an upstream is chosen.
pub(super) enum Step {
    /// It is permitted, and its route has this answer.
    Answer(Box<Admitted>, FixedReply),
    /// Its path is served, though only by these methods.
    Disallow(Vec<Method>),
    /// It is forwarded.
    Forward(Box<Admitted>),
    /// It needs a sign-in, and its body may be kept meanwhile.
    KeepPost(Box<Unkept>),
    /// Its virtual host is in maintenance.
    Maintain(Arc<Maintenance>),
    /// It belongs at this address.
    Move(String),
    /// One of Portway's own paths.
    Own(Place, Arc<Arrived>),
    /// A balancer asks whether requests may be sent here.
    Readiness,
    /// It is refused.
    Refuse(Refusal),
    /// Portway answers by itself.
    Reply(Reply),
}

/// Which of Portway's own paths.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Those of an application host.
    Application,
    /// Those of the collector.
    Collector,
}

impl Step {
    /// Readies what is forwarded, and answers what is not; whether it was answered.
    ///
    /// # Errors
    /// When the client is gone.
    pub(super) async fn carry_out(
        self,
        session: &mut Session,
        ctx: &mut RequestContext,
        vitals: &dyn Vitals,
    ) -> pingora::Result<bool> {
        let changes = match &self {
            Self::Answer(..)
            | Self::Disallow(_)
            | Self::Forward(_)
            | Self::Own(..)
            | Self::Readiness
            | Self::Refuse(_) => Vec::new(),
            Self::KeepPost(_) | Self::Maintain(_) | Self::Move(_) | Self::Reply(_) => {
                ctx.serving.own_changes(session.req_header(), ctx)
            }
        };
        let voice = Voice {
            changes: &changes,
            ..ctx.serving.voice(ctx.id)
        };
        match self {
            Self::Forward(admitted) => {
                if let Some(total) = admitted.route.config.timeouts.total
                    && let Some(current) = &ctx.current
                {
                    current.watch.limit_total(total);
                }
                if session.is_upgrade_req() || admitted.route.config.flow == Flow::Streaming {
                    session.set_read_timeout(None);
                }
                Whereabouts::note_origin(session, &admitted.arrived.origin);
                ctx.admitted = Some(admitted);
                return Ok(false);
            }
            Self::Answer(admitted, reply) => {
                Whereabouts::note_origin(session, &admitted.arrived.origin);
                ctx.admitted = Some(admitted);
                if !error_pages::fill_in(session, &reply, ctx).await?
                    && let Some(admitted) = &ctx.admitted
                {
                    let with = (ctx.serving.as_ref(), ctx.id);
                    fixed::answer(session, reply, admitted, with).await?;
                }
            }
            Self::Disallow(methods) => error_pages::disallow(session, &methods, ctx).await?,
            Self::KeepPost(unkept) => {
                let reply = ctx.serving.challenge_keeping(session, *unkept).await;
                answer::reply(session, reply, None, voice).await?;
            }
            Self::Maintain(maintenance) => {
                ctx.serving.counts.note_maintenance();
                answer::maintain(session, &maintenance, voice).await?;
            }
            Self::Move(location) => answer::move_to(session, location, voice).await?,
            Self::Own(place, arrived) => {
                Whereabouts::note_origin(session, &arrived.origin);
                ctx.serving.serve_own(session, ctx, place, &arrived).await?;
            }
            Self::Readiness => answer::readiness(session, vitals.readiness(), ctx.id).await?,
            Self::Refuse(refusal) => error_pages::refuse(session, refusal, ctx).await?,
            Self::Reply(reply) => answer::reply(session, reply, None, voice).await?,
        }
        Ok(true)
    }
}
