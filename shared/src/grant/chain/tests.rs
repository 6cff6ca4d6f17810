//! A chain gives what its root gives, less at every hop, and nothing if any part of it is not what it was.

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::grant::tests::{grant, key};
use crate::grant::{DEPTH_MAX, Narrowing, NotNarrowed, OwnGrant, Signer};
use crate::id::GrantId;
use crate::key::SigningKey;

const NOW_MS: u64 = 1_500_000;

type Widening = fn(&mut Grant);

/// A control plane, an agent that was given a task, and its clock.
struct World {
    authority: SigningKey,
    holder: SigningKey,
    root: String,
    clock: ManualClock,
}

impl World {
    fn new(depth: u8) -> Self {
        let (authority, holder) = (key(), key());
        let mut grant = grant();
        grant.limits.depth = depth;
        grant.holder = Some(holder.verifying());
        let root = grant.sign(&authority).unwrap();
        Self {
            authority,
            holder,
            root,
            clock: ManualClock::at(NOW_MS),
        }
    }

    fn verify(&self, presented: &str) -> Result<Chain, InvalidGrant> {
        Chain::verify(presented, &[self.authority.verifying()])
    }

    fn pass_on(&self, presented: &str, by: &SigningKey, to: &SigningKey) -> Result<String, NotNarrowed> {
        let own = OwnGrant::read(presented).unwrap();
        own.pass_on(to_agent("search", to), by, &self.clock)
    }
}

fn to_agent(name: &str, holder: &SigningKey) -> Narrowing {
    let agent = format!("spiffe://acme.example/agent/{name}").parse().unwrap();
    Narrowing {
        holder: Some(holder.verifying()),
        ..Narrowing::to(agent)
    }
}

/// A child that says whatever it likes, signed by the holder of its parent.
fn forged(parent: &str, by: &SigningKey, change: impl FnOnce(&mut Grant)) -> String {
    let own = OwnGrant::read(parent).unwrap();
    let leaf = own.chain().leaf();
    let mut child = Grant {
        id: GrantId::new(&ManualClock::at(NOW_MS)),
        link: Some(crate::grant::Link {
            parent: own.sha256(),
            depth: leaf.depth() + 1,
            signer: Signer::Holder,
        }),
        ..leaf.clone()
    };
    change(&mut child);
    format!("{parent}{SEPARATOR}{}", child.sign(by).unwrap())
}

#[test]
fn a_grant_passed_on_offline_is_believed_with_everybody_who_passed_it_on() {
    let world = World::new(2);
    let (child_key, grandchild_key) = (key(), key());
    let child = world.pass_on(&world.root, &world.holder, &child_key).unwrap();
    let grandchild = world.pass_on(&child, &child_key, &grandchild_key).unwrap();
    let chain = world.verify(&grandchild).unwrap();
    assert_eq!(chain.leaf().depth(), 2);
    assert_eq!(chain.root().id, grant_of(&world.root).id);
    let delegators: Vec<&str> = chain.delegators().iter().map(SpiffeId::as_str).collect();
    assert_eq!(
        delegators,
        [
            "spiffe://acme.example/agent/billing",
            "spiffe://acme.example/agent/search"
        ]
    );
    assert_eq!(chain.grants().count(), 3);
}

fn grant_of(presented: &str) -> Grant {
    OwnGrant::read(presented).unwrap().chain().leaf().clone()
}

#[test]
fn a_grant_passed_on_by_the_control_plane_needs_no_key_of_its_holder() {
    let authority = key();
    let root = grant().sign(&authority).unwrap();
    let own = OwnGrant::verify(&root, &[authority.verifying()]).unwrap();
    let to = Narrowing::to("spiffe://acme.example/agent/search".parse().unwrap());
    let made = (GrantId::new(&ManualClock::at(NOW_MS)), NOW_MS);
    let (child, presented) = own.pass_on_as_authority(to, &authority, made).unwrap();
    let chain = Chain::verify(&presented, &[authority.verifying()]).unwrap();
    assert_eq!(chain.leaf(), &child);
    assert_eq!(child.link.unwrap().signer, Signer::Authority);
}

#[test]
fn what_anybody_but_the_holder_or_the_control_plane_signed_is_refused() {
    let world = World::new(2);
    let stranger = key();
    let by_stranger = forged(&world.root, &stranger, |_| {});
    assert!(matches!(
        world.verify(&by_stranger),
        Err(InvalidGrant::UnknownKey(_))
    ));
    let child_key = key();
    let child = world.pass_on(&world.root, &world.holder, &child_key).unwrap();
    // Neither the grandparent nor the child itself vouches for what is below the child.
    let by_grandparent = forged(&child, &world.holder, |_| {});
    assert!(matches!(
        world.verify(&by_grandparent),
        Err(InvalidGrant::UnknownKey(_))
    ));
    let other_authority = key();
    assert!(matches!(
        Chain::verify(&child, &[other_authority.verifying()]),
        Err(InvalidGrant::UnknownKey(_))
    ));
}

#[test]
fn a_child_is_not_believed_alone_below_another_or_out_of_order() {
    let world = World::new(3);
    let child_key = key();
    let child = world.pass_on(&world.root, &world.holder, &child_key).unwrap();
    let (_, alone) = child.split_once(SEPARATOR).unwrap();
    assert!(world.verify(alone).is_err(), "a child alone");
    let mut other = grant();
    other.limits.depth = 3;
    other.holder = Some(world.holder.verifying());
    let other = other.sign(&world.authority).unwrap();
    let moved = format!("{other}{SEPARATOR}{alone}");
    assert!(matches!(world.verify(&moved), Err(InvalidGrant::Claims(why)) if why.contains("par_hash")));
    let twice = format!("{child}{SEPARATOR}{alone}");
    assert!(world.verify(&twice).is_err(), "one link twice");
    let roots = format!("{}{SEPARATOR}{}", world.root, world.root);
    assert!(world.verify(&roots).is_err(), "a root below a root");
    for nonsense in [
        format!("{}{SEPARATOR}", world.root),
        format!("{SEPARATOR}{}", world.root),
        SEPARATOR.to_string(),
    ] {
        assert!(world.verify(&nonsense).is_err(), "an empty link");
    }
}

#[test]
fn a_child_that_says_more_than_its_parent_is_refused_by_the_dimension() {
    let world = World::new(2);
    let widenings: [(Widening, Widened); 10] = [
        (
            |child| child.scope = crate::grant::Scope::parse(["files/*".into()]).unwrap(),
            Widened::Tools,
        ),
        (|child| child.data = None, Widened::Data),
        (
            |child| child.data = Some(crate::grant::DataScope::parse(["pii", "secret"]).unwrap()),
            Widened::Data,
        ),
        (|child| child.limits.calls = Some(61), Widened::Budget),
        (|child| child.limits.risk = 10, Widened::Risk),
        (|child| child.limits.depth = 3, Widened::Depth),
        (|child| child.expires_ms += 1, Widened::Expiry),
        (|child| child.user = "bob".into(), Widened::Origin),
        (|child| child.epoch = 1, Widened::Origin),
        (|child| child.holder = None, Widened::Holder),
    ];
    for (widen, dimension) in widenings {
        let wider = forged(&world.root, &world.holder, widen);
        assert_eq!(world.verify(&wider), Err(InvalidGrant::Widened(dimension)));
    }
    let wrong_depth = forged(&world.root, &world.holder, |child| {
        child.link.as_mut().unwrap().depth = 2;
    });
    assert!(
        matches!(world.verify(&wrong_depth), Err(InvalidGrant::Claims(why)) if why.contains("del_depth"))
    );
    let same = forged(&world.root, &world.holder, |child| {
        child.id = grant_of(&world.root).id;
    });
    assert_eq!(world.verify(&same), Err(InvalidGrant::Repeated));
}

#[test]
fn a_grant_goes_no_deeper_than_it_may() {
    let world = World::new(1);
    let child_key = key();
    let child = world.pass_on(&world.root, &world.holder, &child_key).unwrap();
    let deeper = world.pass_on(&child, &child_key, &key());
    assert!(matches!(deeper, Err(NotNarrowed::Widened(Widened::Depth))));
    let forced = forged(&child, &child_key, |_| {});
    assert_eq!(world.verify(&forced), Err(InvalidGrant::Widened(Widened::Depth)));
    let world = World::new(DEPTH_MAX);
    let mut presented = world.root.clone();
    for _ in 0..DEPTH_MAX {
        presented = world.pass_on(&presented, &world.holder, &world.holder).unwrap();
    }
    assert_eq!(world.verify(&presented).unwrap().leaf().depth(), DEPTH_MAX);
    let one_more = forged(&presented, &world.holder, |_| {});
    assert_eq!(
        world.verify(&one_more),
        Err(InvalidGrant::Widened(Widened::Depth))
    );
}

#[test]
fn more_bytes_than_any_chain_has_are_refused_unread() {
    let world = World::new(1);
    let long = format!("{}{SEPARATOR}{}", world.root, "x".repeat(CHAIN_BYTES_MAX));
    assert_eq!(world.verify(&long), Err(InvalidGrant::Malformed));
}

#[test]
fn any_changed_byte_of_a_chain_is_refused() {
    let world = World::new(2);
    let child = world.pass_on(&world.root, &world.holder, &key()).unwrap();
    for at in (0..child.len()).step_by(11) {
        let mut bytes = child.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(
            world.verify(&String::from_utf8(bytes).unwrap()).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn the_clock_of_a_child_may_be_behind_its_parents() {
    let mut world = World::new(1);
    world.clock = ManualClock::at(900_000);
    assert!(world.clock.wall_ms() < grant_of(&world.root).issued_ms);
    let behind = OwnGrant::read(&world.root).unwrap();
    let within_skew = ManualClock::at(grant_of(&world.root).issued_ms - 1_000);
    let child = behind
        .pass_on(to_agent("search", &key()), &world.holder, &within_skew)
        .unwrap();
    assert!(world.verify(&child).is_ok());
    assert!(matches!(
        world.pass_on(&world.root, &world.holder, &key()),
        Err(NotNarrowed::Invalid(InvalidGrant::NotYet))
    ));
}
