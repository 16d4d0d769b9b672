//! An entry of the users file: what it says, and how one is written.

use crate::provider::users_file::attributes::RawAttributes;
use crate::provider::users_file::document::PasswordAge;
use crate::provider::users_file::document::RawUser;
use crate::provider::users_file::edit::NewPassword;
use crate::provider::users_file::edit::NewUser;
use crate::provider::users_file::hash::PasswordHash;

/// What an entry says, apart from how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) attributes: RawAttributes,
    pub(super) password: String,
    pub(super) must_change: bool,
    pub(super) disabled: bool,
    pub(super) signed_out_before: Option<String>,
}

impl Entry {
    /// Whether the password is still this one.
    pub(super) fn has(&self, known: &PasswordHash) -> bool {
        PasswordHash::parse(&self.password).as_ref() == Ok(known)
    }

    /// Says another password from now on, and what goes with it.
    pub(super) fn take(&mut self, new: &NewPassword<'_>) {
        new.hash.clone_into(&mut self.password);
        self.must_change = new.age == PasswordAge::MustChange;
        if new.signed_out_before.is_some() {
            self.signed_out_before.clone_from(&new.signed_out_before);
        }
    }

    pub(super) fn print(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let mut text = format!("{pad}- name: {}\n", quoted(&self.name));
        let mut line = |key: &str, value: &str| text.push_str(&format!("{pad}  {key}: {value}\n"));
        if let Some(name) = &self.display_name {
            line("display_name", &quoted(name));
        }
        if let Some(email) = &self.email {
            line("email", &quoted(email));
        }
        if !self.groups.is_empty() {
            let groups: Vec<_> = self.groups.iter().map(|group| quoted(group)).collect();
            line("groups", &format!("[{}]", groups.join(", ")));
        }
        if !self.attributes.is_empty() {
            line("attributes", &self.attributes.print(quoted));
        }
        line("password", &quoted(&self.password));
        if self.must_change {
            line("must_change", "true");
        }
        if self.disabled {
            line("disabled", "true");
        }
        if let Some(moment) = &self.signed_out_before {
            line("signed_out_before", &quoted(moment));
        }
        text
    }
}

impl From<&RawUser> for Entry {
    fn from(user: &RawUser) -> Self {
        Self {
            name: user.name.value.clone(),
            display_name: user.display_name.as_ref().map(|text| text.value.clone()),
            email: user.email.as_ref().map(|text| text.value.clone()),
            groups: user.groups.iter().map(|text| text.value.clone()).collect(),
            attributes: user
                .attributes
                .as_ref()
                .map_or_else(RawAttributes::default, |written| written.value.clone()),
            password: user.password.value.clone(),
            must_change: user.must_change,
            disabled: user.disabled,
            signed_out_before: user
                .signed_out_before
                .as_ref()
                .map(|text| text.value.clone()),
        }
    }
}

impl From<&NewUser> for Entry {
    fn from(user: &NewUser) -> Self {
        Self {
            name: user.name.to_string(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            groups: user.groups.iter().map(ToString::to_string).collect(),
            attributes: RawAttributes::default(),
            password: user.hash.clone(),
            must_change: user.age == PasswordAge::MustChange,
            disabled: false,
            signed_out_before: None,
        }
    }
}

/// A YAML double-quoted scalar; a JSON string is one, and needs no knowledge of what YAML would take
/// for a number, a boolean or an anchor.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
