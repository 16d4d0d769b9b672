//! What would be decided on a request that has not come, of somebody who is known: on a stream if it began now, on a
//! browser where it would be sent.
//!
//! Requests that have come are walked through by `journey`, which tells and counts what becomes of them.

use std::sync::Arc;

use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Standing;
use crate::decision::admission::decide;
use crate::decision::facts::RequestFacts;
use crate::decision::path::NormalPath;
use crate::decision::routing::RouteFound;
use crate::decision::routing::Traits;
use crate::model::claim::Activity;
use crate::model::time::Timestamp;
use crate::proxy::hosts::HostRuntime;
use crate::proxy::hosts::RouteRuntime;

impl HostRuntime {
    /// The route that would take a request, and what its policy would say; nothing where none takes it, where it cannot
    /// be told which one does, or where the route does not let its address in.
    pub(super) fn foresee(
        &self,
        path: &NormalPath<'_>,
        request: &RequestFacts<'_>,
        standing: Standing,
        now: Timestamp,
    ) -> Option<(&Arc<RouteRuntime>, Decision)> {
        let RouteFound::Found(route) = self.routes.find_for(path, &Traits::of(request)) else {
            return None;
        };
        let config = &route.config;
        if !config.addresses.let_in(request.address) {
            return None;
        }
        let asked = Asked {
            access: config.access,
            policy: &config.policy,
            level: config.level,
            activity: Activity::None,
            request: *request,
        };
        Some((route, decide(&asked, standing, now)))
    }
}
