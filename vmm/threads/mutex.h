// SPDX-License-Identifier: Apache-2.0
// Mutex, Lock and Condition: the usual ones, in a form that Clang's thread-safety analysis understands. What
// a mutex protects says GUARDED_BY(mutex), a function whose caller holds it REQUIRES(mutex); the Clang build
// fails where code does otherwise. No cost at run time; other compilers see plain C++.
//
// Thread: any.
#pragma once

#include <mutex>

#include <pthread.h>

#include "vmm/error/ints.h"

#ifdef __clang__
#define MAYFLY_THREAD_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define MAYFLY_THREAD_ATTRIBUTE(...)
#endif

/// A field: read and written only while `x` is held.
#define GUARDED_BY(x) MAYFLY_THREAD_ATTRIBUTE(guarded_by(x))
/// A function: its caller holds these.
#define REQUIRES(...) MAYFLY_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// A function that takes the mutex, for as long as its caller holds it.
#define EXCLUDES(...) MAYFLY_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
/// A function that gives back a reference to this mutex.
#define RETURN_CAPABILITY(x) MAYFLY_THREAD_ATTRIBUTE(lock_returned(x))
/// A function after which the analysis assumes that the mutex is held.
#define ASSERT_CAPABILITY(x) MAYFLY_THREAD_ATTRIBUTE(assert_capability(x))

namespace mayfly {

class MAYFLY_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock() MAYFLY_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
    void unlock() MAYFLY_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
    [[nodiscard]] bool try_lock() MAYFLY_THREAD_ATTRIBUTE(try_acquire_capability(true)) {
        return mutex_.try_lock();
    }

    /// Nothing at run time. For a function that is called with the mutex held, by a caller that cannot name
    /// it: a lambda, or an interface's method.
    void assume_held() const ASSERT_CAPABILITY(this) {}

  private:
    friend class Condition;
    [[nodiscard]] pthread_mutex_t* native() { return mutex_.native_handle(); }
    std::mutex mutex_;
};

/// Holds a mutex to the end of its scope.
class MAYFLY_THREAD_ATTRIBUTE(scoped_lockable) Lock {
  public:
    explicit Lock(Mutex& mutex) MAYFLY_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
        mutex_.lock();
    }
    /// Adopts a mutex that the caller has just taken by try_lock().
    Lock(Mutex& mutex, std::adopt_lock_t /*adopt*/) REQUIRES(mutex) : mutex_(mutex) {}
    ~Lock() MAYFLY_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

  private:
    Mutex& mutex_;
};

/// A condition variable. Each wait releases the mutex and takes it again before it returns, perhaps
/// spuriously: check the condition in a loop.
class Condition {
  public:
    Condition();
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;
    ~Condition() { ::pthread_cond_destroy(&condition_); }

    void wait(Mutex& mutex) REQUIRES(mutex) { ::pthread_cond_wait(&condition_, mutex.native()); }
    /// The same for `limit_ns` at most.
    void wait_for(Mutex& mutex, u64 limit_ns) REQUIRES(mutex);
    void notify_one() { ::pthread_cond_signal(&condition_); }
    void notify_all() { ::pthread_cond_broadcast(&condition_); }

  private:
    pthread_cond_t condition_;
};

}  // namespace mayfly
