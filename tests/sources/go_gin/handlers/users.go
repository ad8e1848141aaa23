package handlers

import (
	"os/exec"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
)

type Handlers struct {
	rdb *redis.Client
}

func New(rdb *redis.Client) *Handlers {
	return &Handlers{rdb: rdb}
}

func (h *Handlers) User(c *gin.Context) {
	for _, key := range []string{"a", "b"} {
		h.rdb.Get(c, key).Result()
	}
}

func Create(c *gin.Context) {
	time.Sleep(10 * time.Millisecond)
	out, _ := exec.Command("useradd", "x").Output()
	c.String(200, string(out))
}
