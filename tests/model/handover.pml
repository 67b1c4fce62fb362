/* Hand-over of a VNode between living members, adoption after deaths, and coordinator failover, within one node.
 *
 * Three members, each a worker and a service thread whose operations on shared memory are single statements here;
 * they die together between any two. Seniority is their number. One VNode consumes MESSAGES messages in order. One
 * sender outside of the three is descheduled anywhere and may be executed again from the start. All of it is bounded:
 * KILLS deaths, MOVES live hand-overs, RESTARTS of the sender.
 *
 * Checked: a commit is made by the owner only and in order (I2, I4: the assertions); nothing is lost (I3, I4: a state in
 * which nobody can move is an invalid end state unless every message was committed).
 *
 * Bugs that can be planted with -D: NO_REREAD, NO_FENCE, NO_SCAN, ADOPT_EARLY, RELEASE_EARLY.
 */
#define MEMBERS 3
#define NOBODY MEMBERS /* also the reader of the log of the sender to itself */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef MOVES
#define MOVES 2
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

/* the directory word: one compare-and-swap changes all three */
mtype = { UNASSIGNED, RUNNING, MOVING, RECOVERING };
byte owner = NOBODY;
mtype state = UNASSIGNED;
byte version = 0;

bool in_view[MEMBERS]; /* the view; its compare-and-swap is one statement below */
bool dead[MEMBERS];    /* as every pidfd shows it */
byte kills_left = KILLS;
byte moves_left = MOVES;

byte log[MEMBERS + 1]; /* published records of the log sender -> reader: bit per message */
byte released;         /* bit per message */
byte committed = 0;    /* messages consumed by committed steps */

/* Private memory of the members, lost with them; global here so that a death can erase it, which keeps the number of
 * states small. */
byte got[MEMBERS];        /* records the worker knows of */
byte step[MEMBERS];       /* of the VNode, as the worker remembers it */
byte my_version[MEMBERS]; /* of the word the worker took */
mtype = { IDLE, SCANNED, EXECUTES };
mtype worker[MEMBERS] = IDLE;
bool reassigns[MEMBERS];    /* the service thread has decided, and is about to compare and swap */
byte seen_version[MEMBERS];
byte adopter[MEMBERS];

#ifdef NO_FENCE
/* The store buffer of the sender. With a fence after the publishing store it makes no difference: the sender does
 * nothing in between, so that a late store is the same as a late statement. */
bool pending = false;
byte pending_reader, pending_message;
#endif

#define working (committed < MESSAGES)
#define live(m) (in_view[m] && !dead[m])
/* oldest ACTIVE live member of the view */
#define coordinates(m) (live(m) && (m == 0 || !live(0)) && (m != 2 || !live(1)))
#define gone(m) (in_view[m] && dead[m])
#define unread(m) (log[m] & ~released & ~got[m])

inline erase(m) {
    got[m] = 0; step[m] = 0; my_version[m] = 0; worker[m] = IDLE;
    reassigns[m] = false; seen_version[m] = 0; adopter[m] = 0
}

proctype Member(byte me) {
    byte other;
end: do
    /* ---- worker */
    :: atomic { working && !dead[me] && worker[me] == IDLE && owner == me && (state == MOVING || state == RECOVERING) ->
            /* All logs in one statement: a record published between two of them is as one published after, because
             * its sender looks at the word again, which has changed already. */
            my_version[me] = version;
            step[me] = committed;
#ifdef NO_SCAN
            got[me] = log[me] & ~released;
#else
            got[me] = (log[0] | log[1] | log[2] | log[NOBODY]) & ~released;
#endif
            worker[me] = SCANNED
        }
    :: atomic { working && !dead[me] && worker[me] == SCANNED ->
            assert(owner == me && version == my_version[me]); /* nobody takes it from a living new owner */
            state = RUNNING;
            worker[me] = EXECUTES
        }
    :: atomic { working && !dead[me] && worker[me] == EXECUTES && unread(me) != 0 ->
            other = unread(me);
            got[me] = got[me] | other;
#ifdef RELEASE_EARLY
            released = released | other;
#endif
            other = 0
        }
    :: atomic { working && !dead[me] && worker[me] == EXECUTES && (got[me] & (1 << step[me])) != 0 ->
            assert(owner == me && state == RUNNING && version == my_version[me]);
            assert(committed == step[me]);
            committed++;
            step[me]++
        }
    /* what was committed is released later, by the owner or whoever repairs after it */
    :: atomic { working && !dead[me] && worker[me] == EXECUTES && (released & ((1 << step[me]) - 1)) != (1 << step[me]) - 1 ->
            released = released | ((1 << step[me]) - 1)
        }
    :: atomic { working && !dead[me] && worker[me] == EXECUTES && moves_left > 0 &&
                ((me != 0 && in_view[0]) || (me != 1 && in_view[1]) || (me != 2 && in_view[2])) ->
            if
            :: me != 0 && in_view[0] -> other = 0
            :: me != 1 && in_view[1] -> other = 1
            :: me != 2 && in_view[2] -> other = 2
            fi;
            assert(owner == me && state == RUNNING && version == my_version[me]);
            owner = other; state = MOVING; version++; moves_left--;
            worker[me] = IDLE; got[me] = 0; step[me] = 0; my_version[me] = 0;
            other = 0
        }
    /* ---- service thread: the view first, then the word if it names nobody or a member that is not in the view */
    :: atomic { working && coordinates(me) && !reassigns[me] && (gone(0) || gone(1) || gone(2)) ->
            if
            :: gone(0) -> in_view[0] = false
            :: gone(1) -> in_view[1] = false
            :: gone(2) -> in_view[2] = false
            fi
        }
    :: atomic { working && coordinates(me) && !reassigns[me] && !gone(0) && !gone(1) && !gone(2) &&
                (state == UNASSIGNED || !in_view[owner]) ->
            seen_version[me] = version;
            if
            :: live(0) -> adopter[me] = 0
            :: live(1) -> adopter[me] = 1
            :: live(2) -> adopter[me] = 2
            fi;
            reassigns[me] = true
        }
    :: atomic { working && !dead[me] && reassigns[me] ->
            if
            :: version == seen_version[me] -> owner = adopter[me]; state = RECOVERING; version++
            :: else
            fi;
            reassigns[me] = false; seen_version[me] = 0; adopter[me] = 0
        }
#ifdef ADOPT_EARLY
    /* a hung member is taken for dead */
    :: atomic { working && coordinates(me) && kills_left > 0 && owner != NOBODY && owner != me && live(owner) ->
            kills_left--; in_view[owner] = false
        }
#endif
    od
}

/* kill -9 at any moment, also of one that hangs and is killed for it; one member stays */
proctype Killer() {
end: do
    :: atomic { working && kills_left > 0 && !dead[0] && (!dead[1] || !dead[2]) -> kills_left--; dead[0] = true; erase(0) }
    :: atomic { working && kills_left > 0 && !dead[1] && (!dead[0] || !dead[2]) -> kills_left--; dead[1] = true; erase(1) }
    :: atomic { working && kills_left > 0 && !dead[2] && (!dead[0] || !dead[1]) -> kills_left--; dead[2] = true; erase(2) }
    od
}

#ifdef NO_FENCE
/* the processor writes back when it likes */
proctype StoreBuffer() {
end: do
    :: atomic { working && pending -> log[pending_reader] = log[pending_reader] | (1 << pending_message);
            pending = false; pending_reader = 0; pending_message = 0 }
    od
}
#endif

proctype Sender() {
    byte message = 0;
    byte reader, seen;
    byte restarts_left = RESTARTS;
    do
    :: message < MESSAGES ->
        atomic { reader = (state == UNASSIGNED -> NOBODY : owner); seen = version } /* look the owner up */
#ifdef NO_FENCE
        atomic { !pending -> pending = true; pending_reader = reader; pending_message = message; reader = 0 }
#else
        atomic { log[reader] = log[reader] | (1 << message); reader = 0 } /* publish, full fence */
#endif
#ifdef NO_REREAD
        atomic { message++; seen = 0 }
#else
        atomic {
            if
            :: version != seen /* send again */
            :: version == seen -> message++
            fi;
            seen = 0
        }
#endif
    :: atomic { message > 0 && restarts_left > 0 -> restarts_left--; message = 0 } /* its step is executed again */
    :: message == MESSAGES -> break
    od
}

/* Not at an end label until all is committed: whatever stands still before is an error. */
proctype Monitor() {
    !working
}

init {
    atomic {
        in_view[0] = true; in_view[1] = true; in_view[2] = true;
        run Member(0); run Member(1); run Member(2);
        run Killer(); run Sender(); run Monitor()
#ifdef NO_FENCE
        ; run StoreBuffer()
#endif
    }
}
