/* AMX: whether processor and system have it, and the system's permission to use its tiles, which a
 * process asks for once (Linux 5.16; Documentation/arch/x86/xstate.rst). */
#include "device/opencl.h"

#include "base/log.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has[2]; /* by qn_amx_type */

#if defined(__x86_64__)
#include <cpuid.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
enum { OSXSAVE = 1u << 27, TILE = 1u << 24, BF16 = 1u << 22, INT8 = 1u << 25 };
enum { XTILECFG_AND_DATA = 3u << 17 };

static void ask(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & TILE)) return;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    if ((low & XTILECFG_AND_DATA) != XTILECFG_AND_DATA) return;
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0) {
        qn__log(QN_LOG_WARN, "the processor has AMX; the system does not let this process use it");
        return;
    }
    has[QN_AMX_BF16] = (d & BF16) != 0;
    has[QN_AMX_INT8] = (d & INT8) != 0;
}
#else
static void ask(void) {}
#endif

bool qn__amx_permitted(qn_amx_type type)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return has[type];
}
