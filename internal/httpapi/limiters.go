package httpapi

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiters is a bounded map of token buckets. A limit of 0 limits nothing.
type limiters[K comparable] struct {
	limit rate.Limit
	burst int
	most  int

	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

func newLimiters[K comparable](perSecond, burst, most int) *limiters[K] {
	return &limiters[K]{limit: rate.Limit(perSecond), burst: max(burst, 1), most: most, buckets: make(map[K]*rate.Limiter)}
}

// bucket finds or makes the bucket of a key. Where there are too many, an
// arbitrary other one is dropped, which forgives what its owner has used.
func (l *limiters[K]) bucket(key K) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= l.most {
			for other := range l.buckets {
				delete(l.buckets, other)
				break
			}
		}
		bucket = rate.NewLimiter(l.limit, l.burst)
		l.buckets[key] = bucket
	}
	return bucket
}

// take takes one token. It tells how many whole ones are left, or, where there
// was none, how long it is until the next.
func (l *limiters[K]) take(key K) (left int, wait time.Duration, ok bool) {
	if l.limit == 0 {
		return 0, 0, true
	}
	bucket := l.bucket(key)
	now := time.Now()
	if bucket.AllowN(now, 1) {
		return max(0, int(bucket.TokensAt(now))), 0, true
	}
	return 0, untilNext(bucket, now), false
}

// exhausted tells whether no token is left, without taking one. A key that was
// never seen costs no memory.
func (l *limiters[K]) exhausted(key K) (wait time.Duration, yes bool) {
	if l.limit == 0 {
		return 0, false
	}
	l.mu.Lock()
	bucket := l.buckets[key]
	l.mu.Unlock()
	now := time.Now()
	if bucket == nil || bucket.TokensAt(now) >= 1 {
		return 0, false
	}
	return untilNext(bucket, now), true
}

func untilNext(bucket *rate.Limiter, now time.Time) time.Duration {
	return time.Duration((1 - bucket.TokensAt(now)) / float64(bucket.Limit()) * float64(time.Second))
}

// failureSource is what failed authentications are counted by: an IPv4
// address, or the IPv6 network of 64 bits that one customer usually has whole.
func failureSource(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address, such as a peer on a socket: they share one count
	}
	return prefix
}
