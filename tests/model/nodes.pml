/* Hand-over of a VNode between two nodes (membership/location.hpp), with deaths of the ports.
 *
 * Each node has shared memory, a port and a member; what happens between processes of one node is the matter of
 * handover.pml, and the directory word is reduced to whether the port answers for the VNode. Messages MESSAGES, sent on
 * both nodes, are consumed in order. A port dies between any two of its statements: what it knew and what is on its way
 * to or from it is lost, and the other port hears of it. Bounded: KILLS deaths of ports, MOVES hand-overs.
 *
 * Checked: a commit is made on one node at a time, and in order (I2, I4: the assertions); nothing is lost (I3, I4: a state
 * in which nobody can move is an invalid end state unless every message was committed).
 *
 * Bugs that can be planted with -D: SAY_EARLY, FREE_EARLY, TAKE_OLD, RELEASE_EARLY, TRUST_ACCEPTANCE.
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef MOVES
#define MOVES 2
#endif
#define other(n) (1 - n)
#define bit(m) (1 << m)

/* shared memory of a node */
mtype = { AWAY, HERE, LEAVING };
mtype where[2];
byte epoch[2];
bool kept[2];         /* the state of the VNode lies on this node */
byte consumed[2];     /* what that state has consumed */
byte waits[2];        /* messages that lie on this node and are not released: bit per message */
bool with_port[2];    /* the port answers, by the directory word; else the member */
byte version[2];      /* of that word */
bool wished[2];       /* that it go to the other node */

/* on its way to a node */
bool state_comes[2];
byte state_epoch[2];
byte state_consumed[2];
bool stored_comes[2];
byte stored_epoch[2];
byte comes[2];        /* messages */
byte comes_epoch[2];  /* with which they were sent */
byte accepted[2];     /* messages that the other node has: acknowledgements */

/* private memory of the ports */
bool sent[2];         /* the state */
byte shipped[2];      /* messages that were sent and not acknowledged */
byte shipped_by[2];   /* version of the word they were sent by */
byte expects[2];      /* the state of this epoch is on its way here: messages are held */
mtype = { IDLE, STORES, STORED };
mtype port[2];
byte taking[2];       /* epoch of the state being stored */

byte committed = 0;   /* of all commits that counted */
byte kills_left = KILLS;
byte moves_left = MOVES;

#define working (committed < MESSAGES)
#ifdef TAKE_OLD
#define taken_before(n) (state_epoch[n] <= epoch[n] && where[n] == HERE)
#define new_here(n) (where[n] != HERE)
#else
#define taken_before(n) (state_epoch[n] <= epoch[n])
#define new_here(n) (state_epoch[n] > epoch[n])
#endif
#define counts(n) (with_port[n] && version[n] == shipped_by[n])

inline give_to_member(n) {
    wished[n] = false; with_port[n] = false; version[n]++; shipped[n] = 0
}

proctype Port(byte me) {
end: do
    /* ---- a VNode whose state is here: it goes, or goes back to the member */
    :: atomic { working && port[me] == IDLE && with_port[me] && where[me] == HERE && wished[me] ->
            wished[me] = false; where[me] = LEAVING; epoch[me]++; sent[me] = false }
    :: atomic { working && port[me] == IDLE && with_port[me] && where[me] == HERE -> give_to_member(me) }
    :: atomic { working && port[me] == IDLE && where[me] == LEAVING && !sent[me] && !state_comes[other(me)] ->
            state_comes[other(me)] = true; state_epoch[other(me)] = epoch[me];
            state_consumed[other(me)] = consumed[me]; sent[me] = true;
#ifdef FREE_EARLY
            kept[me] = false; where[me] = AWAY;
#endif
        }
    /* ---- a state comes */
    :: atomic { working && port[me] == IDLE && state_comes[me] && taken_before(me) ->
            state_comes[me] = false; stored_comes[other(me)] = true; stored_epoch[other(me)] = state_epoch[me] }
    :: atomic { working && port[me] == IDLE && state_comes[me] && new_here(me) ->
            state_comes[me] = false; taking[me] = state_epoch[me];
            kept[me] = true; consumed[me] = state_consumed[me]; port[me] = STORES;
#ifdef SAY_EARLY
            stored_comes[other(me)] = true; stored_epoch[other(me)] = taking[me];
#endif
        }
    :: atomic { port[me] == STORES -> where[me] = HERE; epoch[me] = taking[me]; port[me] = STORED }
    :: atomic { port[me] == STORED ->
            stored_comes[other(me)] = true; stored_epoch[other(me)] = taking[me]; port[me] = IDLE }
    /* ---- the other has stored it: the word, and then the memory */
    :: atomic { working && port[me] == IDLE && stored_comes[me] ->
            stored_comes[me] = false;
            if
            :: where[me] == LEAVING && epoch[me] == stored_epoch[me] -> where[me] = AWAY
            :: else
            fi }
    :: atomic { working && port[me] == IDLE && where[me] == AWAY && kept[me] -> kept[me] = false }
    /* ---- messages for a VNode that is elsewhere; lowest first is enough, order is by sequence */
    :: atomic { working && port[me] == IDLE && with_port[me] && where[me] != HERE &&
                (waits[me] & ~shipped[me]) != 0 && comes[other(me)] == 0 && expects[me] <= epoch[me] ->
            comes[other(me)] = waits[me] & ~shipped[me]; comes_epoch[other(me)] = epoch[me];
            shipped[me] = shipped[me] | comes[other(me)]; shipped_by[me] = version[me];
#ifdef RELEASE_EARLY
            waits[me] = waits[me] & ~comes[other(me)];
#endif
        }
    :: atomic { working && port[me] == IDLE && comes[me] != 0 ->
            /* What comes back is a record of its own: the acknowledgement that is under way is for the one before. */
            accepted[me] = accepted[me] & ~comes[me]; shipped[me] = shipped[me] & ~comes[me];
            waits[me] = waits[me] | comes[me]; accepted[other(me)] = accepted[other(me)] | comes[me];
            if
            :: comes_epoch[me] > expects[me] -> expects[me] = comes_epoch[me]
            :: else
            fi;
            comes[me] = 0 }
    :: atomic { working && port[me] == IDLE && accepted[me] != 0 ->
            if
            :: counts(me) -> waits[me] = waits[me] & ~accepted[me]; shipped[me] = shipped[me] & ~accepted[me]
            :: else
            fi;
            accepted[me] = 0 }
    od
}

proctype Member(byte me) {
end: do
    :: atomic { working && !with_port[me] && where[me] == HERE && (waits[me] & bit(consumed[me])) != 0 &&
                consumed[me] < MESSAGES ->
            assert(kept[me]);
            assert(where[other(me)] != HERE);
            assert(consumed[me] == committed);
            waits[me] = waits[me] & ~bit(consumed[me]);
            consumed[me]++; committed++ }
    :: atomic { working && !with_port[me] && where[me] == HERE && moves_left > 0 ->
            moves_left--; wished[me] = true; with_port[me] = true; version[me]++ }
    od
}

/* Messages are sent on either node, by members that are not modelled. */
proctype Sender() {
    byte next = 0;
    do
    :: atomic { next < MESSAGES -> waits[0] = waits[0] | bit(next); next++ }
    :: atomic { next < MESSAGES -> waits[1] = waits[1] | bit(next); next++ }
    :: next == MESSAGES -> break
    od
}

inline forget_link(n) {
    /* All that was under way between the two is lost; what was sent to the dead one is sent again. */
    state_comes[0] = false; state_comes[1] = false; stored_comes[0] = false; stored_comes[1] = false;
    comes[0] = 0; comes[1] = 0; accepted[0] = 0; accepted[1] = 0; shipped[0] = 0; shipped[1] = 0;
#ifdef TRUST_ACCEPTANCE
    sent[n] = false
#else
    sent[0] = false; sent[1] = false
#endif
}

proctype Fate() {
end: do
    :: atomic { working && kills_left > 0 -> kills_left--; port[0] = IDLE; expects[0] = 0; forget_link(0);
            if
            :: with_port[0] && where[0] == HERE -> give_to_member(0) /* the coordinator of the node does */
            :: else
            fi }
    :: atomic { working && kills_left > 0 -> kills_left--; port[1] = IDLE; expects[1] = 0; forget_link(1);
            if
            :: with_port[1] && where[1] == HERE -> give_to_member(1)
            :: else
            fi }
    od
}

/* Nobody can move although not everything is committed: the run stands still. */
proctype Judge() {
    committed == MESSAGES
}

init {
    atomic {
        where[0] = HERE; where[1] = AWAY; kept[0] = true; with_port[1] = true;
        port[0] = IDLE; port[1] = IDLE;
        run Port(0); run Port(1); run Member(0); run Member(1); run Sender(); run Fate(); run Judge()
    }
}
