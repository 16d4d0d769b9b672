//! How the device cookie is written, and the way to a kept post.

use crate::crypto::claims::Claims;
use crate::crypto::claims::DeviceCookie;
use crate::crypto::claims::ReplayRequest;
use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::crypto::tags::UserTag;
use crate::model::id::DeviceId;
use crate::model::id::PostId;
use crate::model::time::Timestamp;

impl Claims for DeviceCookie {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(32);
        to.raw(self.device.as_bytes())
            .raw(self.account.as_bytes())
            .short_number(self.issued.as_millis());
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let cookie = Self {
            device: DeviceId::from_bytes(from.array()?),
            account: UserTag::from_bytes(from.array()?),
            issued: Timestamp::from_millis(from.short_number()?),
        };
        from.end().map(|()| cookie)
    }
}

impl Claims for ReplayRequest {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(32 + self.target.len());
        to.raw(self.post.as_bytes()).text(&self.target);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let request = Self {
            post: PostId::from_bytes(from.array()?),
            target: from.text()?.to_owned(),
        };
        from.end().map(|()| request)
    }
}
