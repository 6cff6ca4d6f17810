//! What happens, in which order: a list of steps that a seed draws, that runs the same each time, and that can be made shorter.
//!
//! **Invariant**: every list is a schedule. Whatever a step names is counted around what there is, so that one can be left out.

use std::fmt;

/// Enforcers of one installation.
pub(super) const ENFORCERS: usize = 3;
/// Steps of a schedule that a seed draws.
const STEPS_MAX: u64 = 48;

const DEEDS: [Deed; 12] = [
    Deed::Customer,
    Deed::Customer,
    Deed::RunCustomer,
    Deed::Page,
    Deed::RunPage,
    Deed::Draft,
    Deed::Reply,
    Deed::Send,
    Deed::Send,
    Deed::Pay,
    Deed::Publish,
    Deed::Publish,
];
const TROUBLES: [fn(u8) -> Op; 11] = [
    Op::Repeat,
    Op::Repeat,
    Op::Lose,
    Op::Late,
    Op::Crash,
    Op::Cut,
    Op::Heal,
    |_| Op::Restart,
    |_| Op::Lift,
    |_| Op::Lift,
    Op::Hear,
];

/// What an agent wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Reads a customer: personal data by the catalog.
    Customer,
    /// The same, made by the enforcer while the ledger is told.
    RunCustomer,
    /// Reads what a stranger wrote.
    Page,
    /// The same, made by the enforcer, which looks at what it gave.
    RunPage,
    /// Writes a draft: light, and forbidden once there is personal data or a stranger's word.
    Draft,
    /// Writes to an account: light, and forbidden if a stranger named it.
    Reply,
    /// Sends mail: full, twice in a task, and forbidden as a draft is.
    Send,
    /// Pays an account: full, once in a task, with a person's approval, and forbidden once there is personal data, or if a stranger
    /// named the account.
    Pay,
    /// Puts something on the web: full, with a person's approval, and forbidden once there is personal data.
    Publish,
}

/// What is said of the page that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// All of it; the account stands in it.
    Content,
    /// Nothing.
    Nothing,
    /// All of it, and that it wants something of the agent.
    Steering,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// The task may make so many calls; said before the first.
    Limit(u8),
    /// A call is presented to this enforcer.
    Present(u8, Deed),
    /// One that is held is presented once more.
    Again(u8),
    /// The outcome of one that was permitted is said.
    Complete(u8, Told),
    /// The control plane does what it was asked.
    Serve(u8),
    /// And once more: the replica that did went away before it answered, and the next was asked.
    Repeat(u8),
    /// It does so, and its answer arrives.
    Answer(u8),
    /// An enforcer stops waiting. What it asked for was done, or is done later, or never.
    Lose(u8),
    /// What nobody waits for any more is done after all.
    Late(u8),
    /// An enforcer is killed and begins anew, knowing nothing.
    Crash(u8),
    /// It loses its control plane.
    Cut(u8),
    /// It has it again.
    Heal(u8),
    /// The control plane goes away and comes back. What it has written is there.
    Restart,
    /// Time passes.
    Advance(u32),
    /// A person lifts the labels of the task.
    Lift,
    /// An enforcer hears of that.
    Hear(u8),
    /// A person says yes to whatever is held.
    Approve,
}

/// Numbers that a seed gives, the same each time: `SplitMix64`.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut next = self.0;
        next = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        next = (next ^ (next >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (next ^ (next >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

impl Op {
    /// Whether nobody fails, goes away, changes their mind, or waits in vain.
    pub(super) const fn is_calm(self) -> bool {
        matches!(
            self,
            Self::Limit(_)
                | Self::Present(..)
                | Self::Complete(..)
                | Self::Serve(_)
                | Self::Answer(_)
                | Self::Advance(_)
                | Self::Again(_)
                | Self::Approve
        )
    }
}

/// What one schedule is about: a few deeds and a few kinds of trouble meet more often than all of them do.
struct Theme {
    deeds: Vec<Deed>,
    troubles: Vec<fn(u8) -> Op>,
    /// Of a hundred steps, so many are trouble.
    troubled: u64,
    /// So many enforcers are in it.
    enforcers: u64,
}

impl Theme {
    fn drawn(dice: &mut Dice) -> Self {
        let (deeds, troubles) = (2 + dice.below(3), 1 + dice.below(4));
        Self {
            deeds: (0..deeds).map(|_| dice.of(&DEEDS)).collect(),
            troubles: (0..troubles).map(|_| dice.of(&TROUBLES)).collect(),
            troubled: dice.below(30),
            enforcers: 1 + dice.below(ENFORCERS as u64),
        }
    }

    fn step(&self, dice: &mut Dice) -> Op {
        let enforcer = u8::try_from(dice.below(self.enforcers)).unwrap_or_default();
        let at = u8::try_from(dice.below(8)).unwrap_or_default();
        if dice.below(100) < self.troubled {
            return dice.of(&self.troubles)(if dice.below(2) == 0 { at } else { enforcer });
        }
        match dice.below(100) {
            0..30 => Op::Present(enforcer, dice.of(&self.deeds)),
            30..38 => Op::Complete(at, dice.of(&[Told::Content, Told::Nothing, Told::Steering])),
            38..52 => Op::Serve(at),
            52..84 => Op::Answer(at),
            84..88 => Op::Advance(dice.of(&[1, 600, 1_001, 5_000, 40_000, 901_000])),
            88..94 => Op::Again(at),
            _ => Op::Approve,
        }
    }
}

/// The schedule of a seed.
pub(super) fn drawn(seed: u64) -> Vec<Op> {
    let mut dice = Dice::new(seed);
    let theme = Theme::drawn(&mut dice);
    let steps = 4 + dice.below(STEPS_MAX - 4);
    let limit = (dice.below(3) == 0).then(|| Op::Limit(dice.of(&[2, 4, 8])));
    let steps = (0..steps).map(|_| theme.step(&mut dice));
    limit.into_iter().chain(steps).collect()
}

/// As it is kept in a test.
pub(super) struct Literal<'a>(pub(super) &'a [Op]);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|op| writeln!(f, "        {op:?},"))
    }
}
