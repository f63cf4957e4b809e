package limiter

import ()
