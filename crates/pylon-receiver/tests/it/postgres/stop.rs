//! A receiver that stops gives back what it has leased, whatever else went wrong.

use super::stage::Stage;
use crate::ledger::contract::{Ask, claim, owner};
use crate::receiver::{builder_on, builder_with, now, webhook};
use crate::wait::within;
use pylon_receiver::config::Config;
use pylon_receiver::handlers_of;
use std::time::Duration;

/// Its courier could not settle: the receiver as a whole gives back all that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_courier_could_not_give_back_the_receiver_does() {
    let Some(stage) = Stage::open().await else { return };
    let others = stage.ledger().await;
    let mut config = Config::default();
    config.limits.shutdown_timeout = Duration::from_millis(500);
    let hangs = handlers_of(|_| std::future::pending());
    let builder = builder_with(config, stage.ledger().await).handlers("app", hangs);
    let receiver = within("it starts", builder.start()).await.unwrap();
    let (status, _) = webhook(receiver.webhooks().unwrap().ip().unwrap(), now()).await.unwrap();
    assert_eq!(status, 200);
    stage.until("it is leased", "SELECT count(*) = 1 FROM open WHERE state = 2").await;
    // Only a settlement sets this column, not the end of all leases of an owner.
    let fail = "
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no settlement'; END $$;
        CREATE TRIGGER fail BEFORE UPDATE ON open FOR EACH ROW
        WHEN (NEW.settled_token IS DISTINCT FROM OLD.settled_token) EXECUTE FUNCTION fail()";
    stage.sql(fail).await;
    within("it shuts down", receiver.shutdown()).await.unwrap();
    assert_eq!(stage.number("SELECT count(*) FROM open WHERE state = 0 AND owner IS NULL").await, 1);
    let ask = Ask { owner: owner(2), ..claim(0) };
    let leased = others.exchange(ask.exchange()).await.unwrap().claimed.deliveries;
    assert_eq!(leased.iter().map(|leased| (leased.attempt, leased.is_suspect)).collect::<Vec<_>>(), [(1, false)]);
}

/// It cleaned up: another one goes on with that at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_receiver_goes_on_cleaning_up_at_once() {
    let Some(stage) = Stage::open().await else { return };
    let receiver = within("it starts", builder_on(stage.ledger().await).start()).await.unwrap();
    stage.until("it cleans up", "SELECT owner IS NOT NULL FROM chores WHERE name = 'prune'").await;
    within("it shuts down", receiver.shutdown()).await.unwrap();
    assert_eq!(stage.number("SELECT count(*) FROM chores WHERE owner IS NOT NULL").await, 0);
}
