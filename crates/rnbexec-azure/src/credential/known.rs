//! Secrets that are in use, for whoever must take them out of what leaves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::{AccessToken, Secret};
use azure_core::time::OffsetDateTime;

/// The secrets that this process knows: keys for ever, tokens until they expire. Cloning shares the list.
#[derive(Clone, Default)]
pub struct KnownSecrets(Arc<Mutex<Vec<Known>>>);

struct Known {
    secret: Secret,
    until: Option<OffsetDateTime>,
}

impl KnownSecrets {
    /// A secret to keep in mind: an account's key, say.
    pub fn add(&self, secret: &str) {
        self.insert(Secret::new(secret.to_owned()), None);
    }

    /// All of them, as they are now.
    pub fn all(&self) -> Vec<Secret> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|known| known.secret.clone()).collect()
    }

    /// A token, which is none any more when it has expired.
    pub(crate) fn add_token(&self, token: &AccessToken) {
        self.insert(token.token.clone(), Some(token.expires_on));
    }

    fn insert(&self, secret: Secret, until: Option<OffsetDateTime>) {
        if secret.secret().is_empty() {
            return;
        }
        let now = OffsetDateTime::now_utc();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.until.is_none_or(|until| until > now) && known.secret != secret);
        known.push(Known { secret, until });
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecrets({} ***)", self.0.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_expired_token_is_forgotten_and_a_key_is_not() {
        let known = KnownSecrets::default();
        let now = OffsetDateTime::now_utc();
        known.add("key");
        known.add("");
        known.add_token(&AccessToken::new("old".to_owned(), now - Duration::from_secs(1)));
        known.clone().add_token(&AccessToken::new("new".to_owned(), now + Duration::from_mins(9)));
        known.add_token(&AccessToken::new("new".to_owned(), now + Duration::from_mins(9)));
        let all: Vec<String> = known.all().iter().map(|secret| secret.secret().to_owned()).collect();
        assert_eq!(all, ["key", "new"]);
        assert!(!format!("{known:?}").contains("key"));
    }
}
