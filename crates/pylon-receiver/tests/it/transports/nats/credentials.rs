//! A user with a credentials file, of an operator that these tests are.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;

/// A token that this key signs.
fn signed(by: &KeyPair, about: &KeyPair, name: &str, claims: &Value) -> String {
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let body = json!({
        "jti": name, "iat": 1_700_000_000, "iss": by.public_key(), "name": name, "sub": about.public_key(), "nats": claims,
    });
    let signed = format!("{}.{}", encoded(&header), encoded(&body));
    let signature = URL_SAFE_NO_PAD.encode(by.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// What an account says of a user.
fn token(account: &KeyPair, user: &KeyPair) -> String {
    let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {} });
    signed(account, user, "receiver", &claims)
}

#[tokio::test]
async fn a_credentials_file_logs_in() {
    let (operator, user) = (KeyPair::new_operator(), KeyPair::new_user());
    let [account, system, stranger] = [KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_account()];
    let of_operator = signed(&operator, &operator, "operator", &json!({ "type": "operator", "version": 2 }));
    let of_account = |account: &KeyPair, storage: i64| {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": storage, "disk_storage": storage, "streams": -1, "consumer": -1,
        });
        let claims = json!({ "type": "account", "version": 2, "limits": limits });
        format!("{}: \"{}\"", account.public_key(), signed(&operator, account, "account", &claims))
    };
    let settings = format!(
        "operator: \"{of_operator}\"\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n{}\n}}",
        system.public_key(),
        of_account(&system, 0),
        of_account(&account, -1)
    );
    let Some(server) = NatsServer::start(&settings) else { return };
    let mut client = NatsClient::connect(server.address, |nonce| {
        let signature = URL_SAFE_NO_PAD.encode(user.sign(nonce.as_bytes()).unwrap());
        json!({ "jwt": token(&account, &user), "sig": signature })
    });
    client.create_stream("EVENTS", &["pylon.>"], &json!({}));
    let with = |account: &KeyPair| {
        let path = server.folder().join("user.creds");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            token(account, &user),
            user.seed().unwrap()
        );
        std::fs::write(&path, text).unwrap();
        at(nats(&server.url()).credentials(Some(path)), PATIENCE)
    };
    assert_eq!(publish(&with(&account), &attempt()).await, stored(1));
    let unknown = "the server refuses the login: expected credentials that it knows, found none or others";
    for transport in [with(&stranger), at(nats(&server.url()), PATIENCE)] {
        assert_eq!(publish(&transport, &attempt()).await, Report::failed(Code::LOGIN, None, unknown));
    }
}
