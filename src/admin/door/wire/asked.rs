//! What users give, on its way through the door: credentials, new passwords, posts that are kept.

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::crypto::claims::DeviceCookie;
use crate::crypto::tags::UserTag;
use crate::decision::form::FormType;
use crate::decision::kept_posts::KeptPost;
use crate::model::id::DeviceId;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::identity::Credential;
use crate::model::identity::Vouched;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::Others;
use crate::ports::session_engine::SignIn;

/// A sign-in.
#[derive(Serialize, Deserialize)]
pub(in crate::admin::door) struct SignInAsked {
    user: String,
    password: Vec<u8>,
    /// The word of a provider, in place of name and password.
    #[serde(default)]
    vouched: Option<Box<Vouched>>,
    client_address: IpAddr,
    device: Option<DeviceAsked>,
    replaces: Option<SsoFacts>,
}

/// A change of a password.
#[derive(Serialize, Deserialize)]
pub(in crate::admin::door) struct ChangePasswordAsked {
    user: String,
    old: Vec<u8>,
    new: Vec<u8>,
    client_address: IpAddr,
    device: Option<DeviceAsked>,
    replaces: Option<SsoFacts>,
    keeps_others: bool,
}

/// A post that is kept, or was.
#[derive(Serialize, Deserialize)]
pub(in crate::admin::door) struct PostAsked {
    pub(in crate::admin::door) id: PostId,
    host: HostName,
    nonce: Nonce,
    form: FormType,
    body: Vec<u8>,
    pub(in crate::admin::door) from: Option<IpAddr>,
}

#[derive(Serialize, Deserialize)]
struct DeviceAsked {
    device: DeviceId,
    account: [u8; UserTag::BYTES],
    issued: Timestamp,
}

impl From<&DeviceCookie> for DeviceAsked {
    fn from(cookie: &DeviceCookie) -> Self {
        Self {
            device: cookie.device,
            account: *cookie.account.as_bytes(),
            issued: cookie.issued,
        }
    }
}

impl From<DeviceAsked> for DeviceCookie {
    fn from(asked: DeviceAsked) -> Self {
        Self {
            device: asked.device,
            account: UserTag::from_bytes(asked.account),
            issued: asked.issued,
        }
    }
}

impl From<&SignIn> for SignInAsked {
    fn from(request: &SignIn) -> Self {
        let (user, password, vouched) = match &request.credential {
            Credential::Password { user, password } => {
                (user.clone(), password.expose().to_vec(), None)
            }
            Credential::Vouched(vouched) => (String::new(), Vec::new(), Some(vouched.clone())),
        };
        Self {
            user,
            password,
            vouched,
            client_address: request.client_address,
            device: request.device.as_ref().map(DeviceAsked::from),
            replaces: request.replaces.clone(),
        }
    }
}

impl From<SignInAsked> for SignIn {
    fn from(asked: SignInAsked) -> Self {
        Self {
            credential: match asked.vouched {
                Some(vouched) => Credential::Vouched(vouched),
                None => Credential::Password {
                    user: asked.user,
                    password: Secret::new(asked.password),
                },
            },
            client_address: asked.client_address,
            device: asked.device.map(DeviceCookie::from),
            replaces: asked.replaces,
        }
    }
}

impl From<&ChangePassword> for ChangePasswordAsked {
    fn from(request: &ChangePassword) -> Self {
        Self {
            user: request.user.clone(),
            old: request.old.expose().to_vec(),
            new: request.new.expose().to_vec(),
            client_address: request.client_address,
            device: request.device.as_ref().map(DeviceAsked::from),
            replaces: request.replaces.clone(),
            keeps_others: request.others == Others::Keep,
        }
    }
}

impl From<ChangePasswordAsked> for ChangePassword {
    fn from(asked: ChangePasswordAsked) -> Self {
        Self {
            user: asked.user,
            old: Secret::new(asked.old),
            new: Secret::new(asked.new),
            client_address: asked.client_address,
            device: asked.device.map(DeviceCookie::from),
            replaces: asked.replaces,
            others: if asked.keeps_others {
                Others::Keep
            } else {
                Others::End
            },
        }
    }
}

impl PostAsked {
    pub(in crate::admin::door) fn new(id: PostId, post: &KeptPost, from: Option<IpAddr>) -> Self {
        Self {
            id,
            host: post.host.clone(),
            nonce: post.nonce,
            form: post.form.clone(),
            body: post.body.expose().to_vec(),
            from,
        }
    }

    pub(in crate::admin::door) fn into_post(self) -> KeptPost {
        KeptPost {
            host: self.host,
            nonce: self.nonce,
            form: self.form,
            body: Secret::new(self.body),
        }
    }
}
