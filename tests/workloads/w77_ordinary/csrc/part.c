/* One part of the program: compiled once for each name. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(what) JOIN(what, PART)

struct NAME(node) {
    struct NAME(node) *next;
    uint64_t key;
    char text[32];
};

struct NAME(node) *NAME(insert)(struct NAME(node) *head, uint64_t key, const char *text) {
    struct NAME(node) *made = malloc(sizeof *made);
    if (!made)
        return head;
    made->key = key;
    snprintf(made->text, sizeof made->text, "%s", text);
    made->next = head;
    return made;
}

uint64_t NAME(sum)(const struct NAME(node) *head) {
    uint64_t total = 0;
    for (; head; head = head->next)
        total += head->key ^ strlen(head->text);
    return total;
}

int NAME(compare)(const void *a, const void *b) {
    const struct NAME(node) *const *x = a, *const *y = b;
    return (*x)->key < (*y)->key ? -1 : (*x)->key > (*y)->key;
}

void NAME(sort)(struct NAME(node) **all, size_t count) {
    qsort(all, count, sizeof *all, NAME(compare));
}

uint64_t NAME(hash)(const char *text) {
    uint64_t hash = 1469598103934665603u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

#define STR_(x) #x
#define STR(x) STR_(x)
#define weak __attribute__((weak))

weak int main(void) {
    struct NAME(node) *head = NULL;
    for (int i = 0; i < 10; i++)
        head = NAME(insert)(head, NAME(hash)(STR(PART)), STR(PART));
    return NAME(sum)(head) == 0;
}
