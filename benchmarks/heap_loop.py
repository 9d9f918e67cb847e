"""A hand-written heap loop of the semantics that the engine benchmark compares with: the pure-Python floor.

Shared queues by variant, first in first out, workers of one kind, batches by size or time-out, decided variants. It
knows nothing of clients, defenses, drops or other disciplines, and returns the same start and finish times.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

INFINITY = float("inf")


def heap_loop(sent, variant, seconds, workers, max_batch, timeout_s):
    """Run the loop and return (started, finished, batch size) as lists by row.

    Args:
        sent: list of arrival times in seconds, sorted.
        variant: list of decided variants.
        seconds: time of a batch by variant and size.
        workers: how many.
        max_batch: most queries in a batch.
        timeout_s: how long a head may wait while a worker is idle; 0 for greedy.
    """
    n = len(sent)
    started, finished, batch_size = [0.0] * n, [0.0] * n, [0] * n
    queues = [deque() for _ in seconds]
    events = []  # (time, number, rows or None for a time-out)
    idle, number, row, alarm_s = workers, 0, 0, INFINITY
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
            heappush(events, (soonest_s, number, None))
        return best

    def start(v, now):
        nonlocal idle, number
        queue = queues[v]
        size = len(queue)
        if size <= max_batch:
            rows = list(queue)
            queue.clear()
        else:
            size = max_batch
            rows = [queue.popleft() for _ in range(size)]
        for r in rows:
            started[r] = now
            batch_size[r] = size
        idle -= 1
        number += 1
        heappush(events, (now + seconds[v][size], number, rows))

    while True:
        if events and events[0][0] <= next_s:
            now, _, rows = heappop(events)
            if rows is None:
                alarm_s = INFINITY
                while idle:
                    v = ready(now)
                    if v < 0:
                        break
                    start(v, now)
            else:
                for r in rows:
                    finished[r] = now
                idle += 1
                v = ready(now)
                if v >= 0:
                    start(v, now)
        elif row < n:
            now, r = next_s, row
            v = variant[r]
            row += 1
            next_s = sent[row] if row < n else INFINITY
            queue = queues[v]
            queue.append(r)
            if idle:
                if len(queue) >= max_batch or not timeout_s:
                    start(v, now)
                else:
                    ready_s = sent[queue[0]] + timeout_s
                    if ready_s <= now:
                        start(v, now)
                    elif ready_s < alarm_s:
                        alarm_s = ready_s
                        number += 1
                        heappush(events, (ready_s, number, None))
        else:
            return started, finished, batch_size
