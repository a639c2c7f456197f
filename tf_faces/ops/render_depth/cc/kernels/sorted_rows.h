// Distance of two lists of numbers in sorted order.

#ifndef TF_FACES_OPS_SORTED_ROWS_H_
#define TF_FACES_OPS_SORTED_ROWS_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace tf_faces {
namespace sorted_rows {

// Digits of eleven bits: three passes over a key, counters that stay in the cache.
constexpr int kBits = 11;
constexpr int kPasses = 3;
constexpr uint32_t kDigits = 1u << kBits;

// Keys order as their numbers do: negative ones are turned over.
inline uint32_t KeyOf(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
}

inline float NumberOf(uint32_t key) {
  const uint32_t bits = key ^ ((key >> 31) ? 0x80000000u : 0xffffffffu);
  float number;
  std::memcpy(&number, &bits, sizeof(number));
  return number;
}

inline uint32_t DigitOf(uint32_t key, int pass) {
  return (key >> (pass * kBits)) & (kDigits - 1);
}

// Radix sort of `count` numbers, fewer than 2^32, into `keys`; `scratch` is as long.
inline void Sort(const float* numbers, int64_t count, uint32_t* keys,
                 uint32_t* scratch) {
  std::vector<uint32_t> places(kPasses * kDigits, 0);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t key = KeyOf(numbers[i]);
    scratch[i] = key;
    for (int pass = 0; pass < kPasses; ++pass) {
      ++places[pass * kDigits + DigitOf(key, pass)];
    }
  }
  // An odd number of passes leads from `scratch` to `keys`.
  static_assert(kPasses % 2 == 1, "the sorted keys would be in scratch");
  uint32_t *from = scratch, *to = keys;
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t* next = places.data() + pass * kDigits;
    uint32_t start = 0;
    for (uint32_t digit = 0; digit < kDigits; ++digit) {
      start += std::exchange(next[digit], start);
    }
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t key = from[i];
      to[next[DigitOf(key, pass)]++] = key;
    }
    std::swap(from, to);
  }
}

// `space` has room for three times `count` keys.
inline double Distance(const float* first, const float* second, int64_t count,
                       uint32_t* space) {
  uint32_t *left = space, *right = space + count, *scratch = space + 2 * count;
  Sort(first, count, left, scratch);
  Sort(second, count, right, scratch);
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    total += std::fabs(NumberOf(left[i]) - NumberOf(right[i]));
  }
  return total;
}

}  // namespace sorted_rows
}  // namespace tf_faces

#endif  // TF_FACES_OPS_SORTED_ROWS_H_
