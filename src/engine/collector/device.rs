//! The device cookie: a browser that has signed in to an account is counted on its own when it does so again,
//! so that whoever guesses at the account keeps only strangers waiting.
//!
//! It opens nothing and survives a sign-out. How attempts are counted is `decision::throttle`'s to say.

use crate::crypto::claims::DEVICE_CLUSTERS_MAX;
use crate::crypto::claims::DEVICE_LIFETIME;
use crate::crypto::claims::DeviceCookie;
use crate::crypto::key_ring::Purpose;
use crate::crypto::tags::UserTag;
use crate::decision::cookies;
use crate::decision::cookies::CookieNames;
use crate::decision::reply::Reply;
use crate::engine::collector::Collector;
use crate::engine::collector::Visitor;
use crate::model::id::DeviceId;
use crate::model::session::Session;
use crate::ports::entropy::id_bytes;

impl Collector {
    /// The device that a visitor comes with, as far as it is believed.
    pub(super) fn device(&self, visitor: &Visitor<'_>) -> Option<DeviceCookie> {
        let now = self.clock.now();
        let binding = self.binding(Purpose::Device, &self.names.device);
        let sealed = CookieNames::find(visitor.cookies.iter().copied(), &self.names.device);
        sealed
            .filter_map(|sealed| self.keys.open_claims::<DeviceCookie>(&binding, sealed))
            .find(|cookie| {
                self.settings.believes(cookie.issued, now)
                    && now.since(cookie.issued) < DEVICE_LIFETIME
            })
    }

    /// Has the answer to somebody who has just signed in make their browser known, where its cookies have room
    /// for that. A device that was known stays the same one: signing in makes nobody a second counter.
    pub(super) fn knowing_device(
        &self,
        reply: Reply,
        session: &Session,
        visitor: &Visitor<'_>,
    ) -> Reply {
        if self.settings.clusters.count() > DEVICE_CLUSTERS_MAX {
            return reply;
        }
        let account = UserTag::of(&session.facts.store, &session.facts.subject);
        let known = self
            .device(visitor)
            .filter(|known| known.account == account);
        let cookie = DeviceCookie {
            device: known.map_or_else(
                || DeviceId::from_bytes(id_bytes(self.entropy.as_ref())),
                |known| known.device,
            ),
            account,
            issued: self.clock.now(),
        };
        let binding = self.binding(Purpose::Device, &self.names.device);
        let sealed = self.seal(&binding, &cookie);
        reply.with_cookie(cookies::set_lasting(
            &self.names.device,
            &sealed,
            DEVICE_LIFETIME,
        ))
    }
}
