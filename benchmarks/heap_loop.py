"""Hand-written heap loops of the semantics that the engine benchmark compares with: the pure-Python floor.

Both take specs, choose a random feasible variant for each, and record every query. One has queues by variant shared by
all workers, first in first out, with batches by size or time-out and early drop. The other has queues of every worker,
earliest deadline first, with greedy batches, and each query joins the shortest. Arrivals are merged with the heap. They
know nothing of clients, defenses, life cycles or any other policy, and their rows are those of the simulator, bit for
bit.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

INFINITY = float("inf")


def decide(accuracies, latencies_s, min_accuracy, max_latency_s, uniform):
    """Choose a random feasible variant, or -1; the variants are sorted by latency."""
    feasible = [v for v, a in enumerate(accuracies) if a >= min_accuracy and latencies_s[v] <= max_latency_s]
    return feasible[int(uniform * len(feasible))] if feasible else -1


def heap_loop(queries, zoo, seconds, workers, max_batch, timeout_s):
    """Run the loop and return its record: columns as lists by row.

    Args:
        queries: lists of sent_s (sorted), min_accuracy, max_latency_s and a uniform, by row.
        zoo: lists of accuracy and batch-1 latency by variant, sorted by latency; or the decided variants by row.
        seconds: time of a batch by variant and size.
        workers: how many.
        max_batch: most queries in a batch.
        timeout_s: how long a head may wait while a worker is idle; 0 for greedy.

    Returns:
        variant, worker, batch size, started, finished and outcome ("answered", "infeasible", "expired") by row.
    """
    sent, min_accuracy, max_latency_s, uniform = queries
    accuracies, latencies_s, decided = zoo if len(zoo) == 3 else (*zoo, None)
    n = len(sent)
    variants, worker_of, batch_size = [-1] * n, [-1] * n, [0] * n
    started, finished, outcome = [None] * n, [None] * n, [None] * n
    queues = [deque() for _ in seconds]
    events = []  # (time, number, worker or -1 for a time-out, rows)
    idle, number, row, alarm_s = deque(range(workers)), 0, 0, INFINITY
    next_s = sent[0]

    def ready(now):
        nonlocal alarm_s, number
        best, best_s, soonest_s = -1, INFINITY, INFINITY
        for candidate, queue in enumerate(queues):
            if queue:
                head_s = sent[queue[0]]
                if len(queue) >= max_batch or head_s + timeout_s <= now:
                    if head_s < best_s:
                        best, best_s = candidate, head_s
                elif head_s + timeout_s < soonest_s:
                    soonest_s = head_s + timeout_s
        if best < 0 and soonest_s < alarm_s:
            alarm_s = soonest_s
            number += 1
            heappush(events, (soonest_s, number, -1, None))
        return best

    def start(v, worker, now):
        """Form a batch, dropping what cannot make its deadline in it; return whether the worker has one."""
        nonlocal number
        queue = queues[v]
        planned, rows = min(len(queue), max_batch), []
        while len(rows) < planned:
            r = queue.popleft()
            if sent[r] + max_latency_s[r] < now + seconds[v][planned]:
                outcome[r] = "expired"
                planned = min(planned, len(rows) + len(queue))
            else:
                rows.append(r)
        if not rows:
            return False
        size = len(rows)
        for r in rows:
            started[r] = now
            worker_of[r] = worker
            batch_size[r] = size
        number += 1
        heappush(events, (now + seconds[v][size], number, worker, rows))
        return True

    def work(worker, now):
        """Let a worker take batches until it has one; return whether it has."""
        while True:
            v = ready(now)
            if v < 0:
                return False
            if start(v, worker, now):
                return True

    while True:
        if events and events[0][0] <= next_s:
            now, _, worker, rows = heappop(events)
            if worker < 0:
                alarm_s = INFINITY
                while idle:
                    if not work(idle[0], now):
                        break
                    idle.popleft()
            else:
                for r in rows:
                    finished[r] = now
                    outcome[r] = "answered"
                if not work(worker, now):
                    idle.append(worker)
        elif row < n:
            now, r = next_s, row
            row += 1
            next_s = sent[row] if row < n else INFINITY
            if decided is None:
                v = decide(accuracies, latencies_s, min_accuracy[r], max_latency_s[r], uniform[r])
            else:
                v = decided[r]
            variants[r] = v
            if v < 0:
                outcome[r] = "infeasible"
                continue
            queue = queues[v]
            queue.append(r)
            if idle:
                if len(queue) < max_batch and timeout_s:
                    ready_s = sent[queue[0]] + timeout_s
                    if ready_s > now:
                        if ready_s < alarm_s:
                            alarm_s = ready_s
                            number += 1
                            heappush(events, (ready_s, number, -1, None))
                        continue
                if start(v, idle[0], now) or work(idle[0], now):
                    idle.popleft()
        else:
            return variants, worker_of, batch_size, started, finished, outcome


def edf_loop(queries, zoo, seconds, workers, max_batch):
    """Run the loop of joining the shortest queue, and return its record as ``heap_loop`` does; nothing is dropped.

    Args:
        queries: lists of sent_s (sorted), min_accuracy, max_latency_s and a uniform, by row.
        zoo: lists of accuracy and batch-1 latency by variant, sorted by latency; or the decided variants by row.
        seconds: time of a batch by variant and size.
        workers: how many.
        max_batch: most queries in a batch.
    """
    sent, min_accuracy, max_latency_s, uniform = queries
    accuracies, latencies_s, decided = zoo if len(zoo) == 3 else (*zoo, None)
    n = len(sent)
    variants, worker_of, batch_size = [-1] * n, [-1] * n, [0] * n
    started, finished, outcome = [None] * n, [None] * n, [None] * n
    queues = [[[] for _ in seconds] for _ in range(workers)]
    turns = [deque(range(workers)) for _ in seconds]  # ties between workers go round, for each variant
    load, idle = [0] * workers, [True] * workers
    events, number, row = [], 0, 0
    next_s = sent[0]

    def start(v, worker, now):
        """Form a batch of a variant and run it."""
        nonlocal number
        queue = queues[worker][v]
        size = min(len(queue), max_batch)
        rows = [heappop(queue)[1] for _ in range(size)]
        for r in rows:
            started[r] = now
            worker_of[r] = worker
            batch_size[r] = size
        number += 1
        heappush(events, (now + seconds[v][size], number, worker, rows))

    while True:
        if events and events[0][0] <= next_s:
            now, _, worker, rows = heappop(events)
            for r in rows:
                finished[r] = now
                outcome[r] = "answered"
            load[worker] -= len(rows)
            best, best_s = -1, INFINITY
            for v, queue in enumerate(queues[worker]):
                if queue and queue[0][0] < best_s:
                    best, best_s = v, queue[0][0]
            if best < 0:
                idle[worker] = True
            else:
                start(best, worker, now)
        elif row < n:
            now, r = next_s, row
            row += 1
            next_s = sent[row] if row < n else INFINITY
            if decided is None:
                v = decide(accuracies, latencies_s, min_accuracy[r], max_latency_s[r], uniform[r])
            else:
                v = decided[r]
            variants[r] = v
            if v < 0:
                outcome[r] = "infeasible"
                continue
            turn = turns[v]
            turn.rotate(-1)
            worker = min(turn, key=load.__getitem__)
            load[worker] += 1
            heappush(queues[worker][v], (now + max_latency_s[r], r))
            if idle[worker]:
                idle[worker] = False
                start(v, worker, now)
        else:
            return variants, worker_of, batch_size, started, finished, outcome
